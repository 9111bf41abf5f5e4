-- case: like
SELECT 'hello' LIKE 'h%', 'hello' LIKE '%l_o', 'hello' LIKE 'hell', 'Hello' LIKE 'hELLO';
-- case: not-like
SELECT 'hello' NOT LIKE 'x%', 'hello' NOT LIKE '%o';
-- case: like-escape
SELECT '50%' LIKE '50\%' ESCAPE '\', '500' LIKE '50\%' ESCAPE '\';
-- case: like-null
SELECT 1, NULL LIKE 'a', 'a' LIKE NULL, 2;
-- case: glob
SELECT 'hello' GLOB 'h*', 'hello' GLOB 'H*', 'hello' GLOB 'h?llo', 'hello' GLOB '[g-i]e[^x]lo';
-- case: cast-integer
SELECT CAST('12abc' AS INTEGER), CAST(3.9 AS INTEGER), CAST(-3.9 AS INT), CAST('x' AS INTEGER);
-- case: cast-real-text
SELECT CAST('2.5x' AS REAL), CAST(3 AS REAL), CAST(12 AS TEXT) IS '12', typeof(CAST(1.5 AS TEXT));
-- case: cast-numeric-null
SELECT CAST('3.0' AS NUMERIC), CAST('3.5' AS NUMERIC), typeof(CAST(NULL AS INTEGER)), CAST(x'3132' AS TEXT);
