-- case: count-all
CREATE TABLE s (kind TEXT, city TEXT, n INTEGER);
INSERT INTO s VALUES ('a', 'rome', 5), ('b', 'oslo', 7), ('a', 'oslo', 5), ('c', NULL, NULL), ('b', 'rome', 2);
SELECT count(*) FROM s;
-- case: count-column
CREATE TABLE s (kind TEXT, city TEXT, n INTEGER);
INSERT INTO s VALUES ('a', 'rome', 5), ('b', 'oslo', 7), ('a', 'oslo', 5), ('c', NULL, NULL), ('b', 'rome', 2);
SELECT count(n), count(city) FROM s;
-- case: count-distinct
CREATE TABLE s (kind TEXT, city TEXT, n INTEGER);
INSERT INTO s VALUES ('a', 'rome', 5), ('b', 'oslo', 7), ('a', 'oslo', 5), ('c', NULL, NULL), ('b', 'rome', 2);
SELECT count(DISTINCT kind), count(DISTINCT n) FROM s;
-- case: sum
CREATE TABLE s (kind TEXT, city TEXT, n INTEGER);
INSERT INTO s VALUES ('a', 'rome', 5), ('b', 'oslo', 7), ('a', 'oslo', 5), ('c', NULL, NULL), ('b', 'rome', 2);
SELECT sum(n), total(n) FROM s;
-- case: avg
CREATE TABLE s (kind TEXT, city TEXT, n INTEGER);
INSERT INTO s VALUES ('a', 'rome', 5), ('b', 'oslo', 7), ('a', 'oslo', 5), ('c', NULL, NULL), ('b', 'rome', 2);
SELECT avg(n) FROM s;
-- case: min-max
CREATE TABLE s (kind TEXT, city TEXT, n INTEGER);
INSERT INTO s VALUES ('a', 'rome', 5), ('b', 'oslo', 7), ('a', 'oslo', 5), ('c', NULL, NULL), ('b', 'rome', 2);
SELECT min(n), max(n), min(city), max(city) FROM s;
-- case: sum-distinct
CREATE TABLE s (kind TEXT, city TEXT, n INTEGER);
INSERT INTO s VALUES ('a', 'rome', 5), ('b', 'oslo', 7), ('a', 'oslo', 5), ('c', NULL, NULL), ('b', 'rome', 2);
SELECT sum(DISTINCT n), avg(DISTINCT n) FROM s;
-- case: several
CREATE TABLE s (kind TEXT, city TEXT, n INTEGER);
INSERT INTO s VALUES ('a', 'rome', 5), ('b', 'oslo', 7), ('a', 'oslo', 5), ('c', NULL, NULL), ('b', 'rome', 2);
SELECT count(*), sum(n), min(kind), max(n) FROM s;
-- case: in-call
CREATE TABLE s (kind TEXT, city TEXT, n INTEGER);
INSERT INTO s VALUES ('a', 'rome', 5), ('b', 'oslo', 7), ('a', 'oslo', 5), ('c', NULL, NULL), ('b', 'rome', 2);
SELECT max(n), count(*), count(n), 1 FROM s;
