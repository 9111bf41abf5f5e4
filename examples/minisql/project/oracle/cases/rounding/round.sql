-- case: to-whole
SELECT round(2.4), round(2.6), round(-2.4), round(-2.6);
-- case: half-away-from-zero
SELECT round(0.5), round(1.5), round(2.5), round(-0.5), round(-2.5);
-- case: digits
SELECT round(3.14159, 2), round(3.14159, 4), round(1234.5678, 1);
-- case: integer
SELECT round(7), round(-7), round(7, 2);
-- case: negative-digits
SELECT round(15.5, -1), round(1234.0, -2);
-- case: null
SELECT 1, round(NULL), round(1.5, NULL), 2;
-- case: large
SELECT round(123456789012.5), round(9007199254740993);
-- case: half-cents
SELECT round(2.675, 2), round(1.005, 2), round(0.125, 2);
