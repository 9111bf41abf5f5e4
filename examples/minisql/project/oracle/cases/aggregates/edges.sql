-- case: count-of-nothing
CREATE TABLE e (x INTEGER, y REAL);
SELECT count(*), count(x) FROM e;
-- case: sum-of-nothing
CREATE TABLE e (x INTEGER, y REAL);
SELECT 1, sum(x), total(x), avg(x) FROM e;
-- case: min-of-nothing
CREATE TABLE e (x INTEGER, y REAL);
SELECT 1, min(x), max(x), group_concat(x), 2 FROM e;
-- case: all-null
CREATE TABLE e (x INTEGER, y REAL);
INSERT INTO e VALUES (NULL, NULL), (NULL, NULL);
SELECT count(*), count(x), sum(x), max(y) FROM e;
-- case: reals
CREATE TABLE e (x INTEGER, y REAL);
INSERT INTO e VALUES (1, 0.5), (2, 0.25);
SELECT sum(y), avg(y), min(y), max(y) FROM e;
-- case: without-table
CREATE TABLE e (x INTEGER, y REAL);
SELECT count(*), sum(5), max(7);
