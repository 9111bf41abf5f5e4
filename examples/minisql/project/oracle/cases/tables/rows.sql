-- case: several-rows
CREATE TABLE t (a INTEGER, b INTEGER);
INSERT INTO t VALUES (1, 10), (2, 20), (3, 30);
SELECT a, b FROM t;
-- case: several-inserts
CREATE TABLE t (a INTEGER);
INSERT INTO t VALUES (5);
INSERT INTO t VALUES (4);
INSERT INTO t VALUES (6);
SELECT a FROM t;
-- case: null
CREATE TABLE t (a INTEGER, b INTEGER);
INSERT INTO t VALUES (NULL, 1), (2, NULL);
SELECT a, b FROM t;
-- case: qualified-column
CREATE TABLE t (a INTEGER);
INSERT INTO t VALUES (1), (2);
SELECT t.a FROM t;
-- case: table-alias
CREATE TABLE t (a INTEGER);
INSERT INTO t VALUES (1), (2);
SELECT x.a FROM t AS x;
SELECT y.a FROM t y;
-- case: constant-per-row
CREATE TABLE t (a INTEGER);
INSERT INTO t VALUES (1), (2), (3);
SELECT 7, a FROM t;
-- case: rowid
CREATE TABLE t (a INTEGER);
INSERT INTO t VALUES (30), (20), (10);
SELECT rowid, a FROM t;
-- case: two-tables
CREATE TABLE t (a INTEGER);
CREATE TABLE u (a INTEGER);
INSERT INTO t VALUES (1);
INSERT INTO u VALUES (2);
SELECT a FROM u;
SELECT a FROM t;
