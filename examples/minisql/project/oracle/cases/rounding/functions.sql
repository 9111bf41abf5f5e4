-- case: floor
SELECT floor(2.7), floor(-2.7), floor(3);
-- case: ceil
SELECT ceil(2.1), ceil(-2.1), ceiling(3), ceiling(0.5);
-- case: trunc
SELECT trunc(2.7), trunc(-2.7), trunc(5);
-- case: sqrt
SELECT sqrt(16), sqrt(2), sqrt(0);
-- case: sqrt-negative
SELECT 1, sqrt(-1), 2;
-- case: pow
SELECT pow(2, 10), power(9, 0.5), pow(2, -1);
-- case: mod
SELECT mod(7, 3), mod(7.5, 2), mod(-7, 3);
-- case: null
SELECT 1, floor(NULL), sqrt(NULL), pow(2, NULL), mod(NULL, 2), 2;
