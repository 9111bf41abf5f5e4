-- case: integer-names
CREATE TABLE t (a INT, b BIGINT, c SMALLINT);
INSERT INTO t VALUES ('1', '2', '3');
SELECT typeof(a), typeof(b), typeof(c) FROM t;
-- case: text-names
CREATE TABLE t (a VARCHAR(10), b CHAR(5), c CLOB);
INSERT INTO t VALUES (1, 2, 3);
SELECT typeof(a), typeof(b), typeof(c) FROM t;
-- case: real-names
CREATE TABLE t (a FLOAT, b DOUBLE PRECISION, c REAL);
INSERT INTO t VALUES (1, 2, 3);
SELECT a, b, c FROM t;
-- case: other-names
CREATE TABLE t (a BOOLEAN, b DATE);
INSERT INTO t VALUES ('1', '2024-01-02');
SELECT a, typeof(a), b, typeof(b) FROM t;
