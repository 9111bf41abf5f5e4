-- case: coalesce
SELECT coalesce(NULL, 2), coalesce(1, 2), coalesce(NULL, NULL, 3);
-- case: coalesce-all-null
SELECT 1, coalesce(NULL, NULL), 2;
-- case: ifnull
SELECT ifnull(NULL, 5), ifnull(4, 5), ifnull(0, 5);
-- case: ifnull-both
SELECT 1, ifnull(NULL, NULL), 2;
-- case: nullif
SELECT 1, nullif(5, 5), nullif(5, 6), 2;
-- case: nullif-null
SELECT 1, nullif(NULL, 1), nullif(1, NULL), 2;
-- case: nullif-real
SELECT 1, nullif(2, 2.0), nullif(2, 2.5), 3;
-- case: iif
SELECT iif(1, 10, 20), iif(0, 10, 20), iif(5, 10, 20);
-- case: iif-null
SELECT iif(NULL, 10, 20), iif(0.0, 10, 20), iif(0.5, 10, 20);
