-- case: one-column
CREATE TABLE t (a INTEGER);
INSERT INTO t VALUES (1);
SELECT a FROM t;
-- case: three-columns
CREATE TABLE t (a INTEGER, b INTEGER, c INTEGER);
INSERT INTO t VALUES (1, 2, 3);
SELECT c, a, b FROM t;
-- case: no-type
CREATE TABLE t (a, b);
INSERT INTO t VALUES (4, 5);
SELECT b, a FROM t;
-- case: names-ignore-case
CREATE TABLE People (Age INTEGER);
INSERT INTO people VALUES (30);
SELECT AGE, age FROM PEOPLE;
-- case: if-not-exists
CREATE TABLE t (a INTEGER);
INSERT INTO t VALUES (1);
CREATE TABLE IF NOT EXISTS t (b INTEGER);
SELECT a FROM t;
-- case: twice-is-an-error
CREATE TABLE t (a INTEGER);
CREATE TABLE t (b INTEGER);
INSERT INTO t VALUES (7);
SELECT a FROM t;
-- case: drop-and-create
CREATE TABLE t (a INTEGER);
INSERT INTO t VALUES (1);
DROP TABLE t;
CREATE TABLE t (b INTEGER);
INSERT INTO t VALUES (2);
SELECT b FROM t;
-- case: drop-if-exists
DROP TABLE IF EXISTS missing;
CREATE TABLE t (a INTEGER);
INSERT INTO t VALUES (3);
SELECT a FROM t;
