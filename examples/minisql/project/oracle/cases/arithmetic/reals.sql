-- case: operations
SELECT 1.5 + 2, 0.1 + 0.2, 3.0 * 2, 1.0 - 0.9;
-- case: division
SELECT 7.0 / 2, 7 / 2.0, 1 / 3.0;
-- case: by-zero
SELECT 1.0 / 0, 1 / 0.0, 4.5;
-- case: remainder
SELECT 7.5 % 2, -7.5 % 2;
