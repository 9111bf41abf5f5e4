-- case: leading-point
SELECT .5, .25;
-- case: exponent
SELECT 1e3, 25e-1, 1.5E+2;
-- case: large-exponent
SELECT 1e20, 1e15, 1e14;
-- case: small-exponent
SELECT 1e-4, 1e-5;
-- case: hexadecimal
SELECT 0x10, 0xff;
-- case: hexadecimal-sign
SELECT 0xFFFFFFFFFFFFFFFF, 0x7FFFFFFFFFFFFFFF;
-- case: infinite
SELECT 1e999, -1e999;
