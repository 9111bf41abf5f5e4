-- case: between
SELECT 5 BETWEEN 1 AND 10, 5 BETWEEN 6 AND 10, 5 BETWEEN 5 AND 5;
-- case: not-between
SELECT 5 NOT BETWEEN 1 AND 10, 5 NOT BETWEEN 6 AND 10;
-- case: between-null
SELECT 1, 5 BETWEEN NULL AND 10, 5 BETWEEN 6 AND NULL, NULL BETWEEN 1 AND 2;
-- case: between-and-and
SELECT 5 BETWEEN 1 AND 10 AND 0, 5 BETWEEN 1 AND 10 AND 1;
-- case: in
SELECT 2 IN (1, 2, 3), 4 IN (1, 2, 3), 'b' IN ('a', 'b');
-- case: not-in
SELECT 2 NOT IN (1, 2, 3), 4 NOT IN (1, 2, 3);
-- case: in-null
SELECT 1, 2 IN (1, NULL), 1 IN (1, NULL), NULL IN (1, 2), 4 NOT IN (1, NULL);
-- case: in-nothing
SELECT 1 IN (), 1 NOT IN ();
