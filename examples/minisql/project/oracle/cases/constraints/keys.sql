-- case: integer-key-is-filled-in
CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
INSERT INTO t (v) VALUES ('a'), ('b');
SELECT id, v FROM t ORDER BY id;
-- case: integer-key-after-largest
CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
INSERT INTO t VALUES (10, 'a');
INSERT INTO t VALUES (NULL, 'b');
SELECT id, v FROM t ORDER BY id;
-- case: integer-key-is-rowid
CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
INSERT INTO t VALUES (7, 'a');
SELECT rowid, id FROM t;
-- case: integer-key-twice
CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
INSERT INTO t VALUES (1, 'a');
INSERT INTO t VALUES (1, 'b');
SELECT id, v FROM t;
-- case: text-key-twice
CREATE TABLE t (k TEXT PRIMARY KEY);
INSERT INTO t VALUES ('a');
INSERT INTO t VALUES ('a');
INSERT INTO t VALUES ('b');
SELECT k FROM t ORDER BY k;
-- case: unique
CREATE TABLE t (a INTEGER UNIQUE, b INTEGER);
INSERT INTO t VALUES (1, 1);
INSERT INTO t VALUES (1, 2);
INSERT INTO t VALUES (2, 3);
SELECT a, b FROM t ORDER BY a;
-- case: unique-allows-nulls
CREATE TABLE t (a INTEGER UNIQUE);
INSERT INTO t VALUES (NULL);
INSERT INTO t VALUES (NULL);
INSERT INTO t VALUES (1);
SELECT rowid, a FROM t ORDER BY rowid;
-- case: unique-together
CREATE TABLE t (a INTEGER, b INTEGER, UNIQUE (a, b));
INSERT INTO t VALUES (1, 1), (1, 2);
INSERT INTO t VALUES (1, 2);
SELECT a, b FROM t ORDER BY a, b;
-- case: update-breaks-unique
CREATE TABLE t (a INTEGER UNIQUE);
INSERT INTO t VALUES (1), (2);
UPDATE t SET a = 1 WHERE a = 2;
UPDATE t SET a = 3 WHERE a = 1;
SELECT a FROM t ORDER BY a;
