-- case: one-row
CREATE TABLE h (id INTEGER, name TEXT, n INTEGER);
INSERT INTO h VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30);
UPDATE h SET n = 99 WHERE id = 2;
SELECT id, name, n FROM h ORDER BY id;
-- case: all-rows
CREATE TABLE h (id INTEGER, name TEXT, n INTEGER);
INSERT INTO h VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30);
UPDATE h SET n = 0;
SELECT id, name, n FROM h ORDER BY id;
-- case: two-columns
CREATE TABLE h (id INTEGER, name TEXT, n INTEGER);
INSERT INTO h VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30);
UPDATE h SET name = 'z', n = NULL WHERE id >= 2;
SELECT id, name, n FROM h ORDER BY id;
-- case: old-values
CREATE TABLE h (id INTEGER, name TEXT, n INTEGER);
INSERT INTO h VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30);
UPDATE h SET id = n, n = id;
SELECT id, name, n FROM h ORDER BY id;
-- case: by-null
CREATE TABLE h (id INTEGER, name TEXT, n INTEGER);
INSERT INTO h VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30);
UPDATE h SET name = NULL WHERE id = 1;
UPDATE h SET n = -1 WHERE name IS NULL;
SELECT id, name, n FROM h ORDER BY id;
-- case: nothing-matches
CREATE TABLE h (id INTEGER, name TEXT, n INTEGER);
INSERT INTO h VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30);
UPDATE h SET n = 5 WHERE id = 77;
SELECT id, name, n FROM h ORDER BY id;
-- case: unknown-column-is-an-error
CREATE TABLE h (id INTEGER, name TEXT, n INTEGER);
INSERT INTO h VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30);
UPDATE h SET nope = 1;
SELECT id, name, n FROM h ORDER BY id;
