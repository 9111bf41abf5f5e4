-- case: one-integer
SELECT 1;
-- case: two-columns
SELECT 1, 2;
