-- case: one-row
CREATE TABLE h (id INTEGER, name TEXT, n INTEGER);
INSERT INTO h VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30);
DELETE FROM h WHERE id = 2;
SELECT id, name, n FROM h ORDER BY id;
-- case: condition
CREATE TABLE h (id INTEGER, name TEXT, n INTEGER);
INSERT INTO h VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30);
DELETE FROM h WHERE n > 10 AND name <> 'c';
SELECT id, name, n FROM h ORDER BY id;
-- case: all-then-insert
CREATE TABLE h (id INTEGER, name TEXT, n INTEGER);
INSERT INTO h VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30);
DELETE FROM h;
INSERT INTO h VALUES (7, 'g', 70);
SELECT id, name, n FROM h ORDER BY id;
-- case: nothing-matches
CREATE TABLE h (id INTEGER, name TEXT, n INTEGER);
INSERT INTO h VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30);
DELETE FROM h WHERE n IS NULL;
SELECT id, name, n FROM h ORDER BY id;
-- case: delete-and-insert
CREATE TABLE h (id INTEGER, name TEXT, n INTEGER);
INSERT INTO h VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30);
DELETE FROM h WHERE id = 3;
INSERT INTO h VALUES (3, 'new', 33);
SELECT id, name, n FROM h ORDER BY id;
