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
-- case: numeric-fraction
CREATE TABLE t (a DECIMAL);
INSERT INTO t VALUES ('3.25');
SELECT a, typeof(a) FROM t;
-- case: blob-keeps-all
CREATE TABLE t (a BLOB, b BLOB);
INSERT INTO t VALUES ('1', 1);
SELECT typeof(a), typeof(b) FROM t;
-- case: no-type-keeps-all
CREATE TABLE t (a, b, c);
INSERT INTO t VALUES ('1', 1, 1.0);
SELECT typeof(a), typeof(b), typeof(c) FROM t;
-- case: null-stays
CREATE TABLE t (a INTEGER, b TEXT, c REAL);
INSERT INTO t VALUES (NULL, NULL, NULL);
SELECT typeof(a), typeof(b), typeof(c) FROM t;
-- case: blob-stays
CREATE TABLE t (a INTEGER, b TEXT);
INSERT INTO t VALUES (x'31', x'32');
SELECT typeof(a), typeof(b) FROM t;
