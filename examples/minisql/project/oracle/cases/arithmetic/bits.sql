-- case: and-or
SELECT 12 & 10, 12 | 3, 1 | 2 & 3;
-- case: shifts
SELECT 1 << 4, 256 >> 2, -16 >> 2, 8 >> -1;
-- case: invert
SELECT ~0, ~5, ~-1;
-- case: null-and-precedence
SELECT 1 + 2 << 3, NULL & 1, NULL | 1, ~NULL, 7 & 3 + 1;
