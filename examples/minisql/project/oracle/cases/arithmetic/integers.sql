-- case: four-operations
SELECT 1 + 2, 7 - 10, 6 * 7, 9 / 3;
-- case: precedence
SELECT 2 + 3 * 4, (2 + 3) * 4, 20 - 4 / 2;
-- case: left-to-right
SELECT 10 - 3 - 2, 100 / 10 / 2, 100 / 10 * 2;
-- case: division-truncates
SELECT 7 / 2, -7 / 2, 7 / -2, -7 / -2;
-- case: remainder-sign
SELECT 7 % 3, -7 % 3, 7 % -3, -7 % -3;
-- case: by-zero
SELECT 1, 5 / 0, 5 % 0, 2;
-- case: null
SELECT 0, NULL + 1, 2 * NULL, NULL - NULL, NULL / 2, 3;
-- case: unary-minus
SELECT -(2 + 3), - -4, -(-5), +6;
-- case: overflow-add
SELECT 9223372036854775807 + 1, 9223372036854775807 + 0;
