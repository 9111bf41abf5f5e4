-- case: min
SELECT min(3, 1, 2), min(5, 5), min(-1, 1);
-- case: max
SELECT max(3, 1, 2), max(5, 5), max(-1, 1);
-- case: mixed
SELECT min(1, 1.5), max(1, 1.5), max(2, 1.5), min(2.0, 3);
-- case: null
SELECT 1, min(1, NULL), max(NULL, 2, 3), 2;
-- case: nested
SELECT max(min(4, 9), min(7, 2)), min(max(4, 9), max(7, 2));
-- case: many
SELECT max(1, 2, 3, 4, 5, 6, 7, 8), min(8, 7, 6, 5, 4, 3, 2, 1);
-- case: unknown-function-is-an-error
SELECT max(1, 2);
SELECT nosuchfunction(1);
SELECT min(1, 2);
-- case: of-abs
SELECT max(abs(-7), abs(3)), min(abs(-7), abs(3));
