-- case: integer-from-text
CREATE TABLE t (a INTEGER);
INSERT INTO t VALUES ('12');
SELECT a, typeof(a) FROM t;
-- case: integer-keeps-words
CREATE TABLE t (a INTEGER);
INSERT INTO t VALUES ('abc');
SELECT a, typeof(a) FROM t;
-- case: integer-from-whole-real
CREATE TABLE t (a INTEGER);
INSERT INTO t VALUES (3.0);
SELECT a, typeof(a) FROM t;
-- case: integer-keeps-fraction
CREATE TABLE t (a INTEGER);
INSERT INTO t VALUES (3.5);
SELECT a, typeof(a) FROM t;
-- case: text-from-integer
CREATE TABLE t (a TEXT);
INSERT INTO t VALUES (12);
SELECT a, typeof(a) FROM t;
-- case: text-from-real
CREATE TABLE t (a TEXT);
INSERT INTO t VALUES (1.5);
SELECT a, typeof(a) FROM t;
-- case: real-from-integer
CREATE TABLE t (a REAL);
INSERT INTO t VALUES (7);
SELECT a, typeof(a) FROM t;
-- case: real-from-text
CREATE TABLE t (a REAL);
INSERT INTO t VALUES ('2.50');
SELECT a, typeof(a) FROM t;
-- case: numeric
CREATE TABLE t (a NUMERIC);
INSERT INTO t VALUES ('3.0');
SELECT a, typeof(a) FROM t;
