-- case: column-list
CREATE TABLE h (id INTEGER, name TEXT, n INTEGER);
INSERT INTO h VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30);
INSERT INTO h (id, name, n) VALUES (4, 'd', 40);
SELECT id, name, n FROM h ORDER BY id;
-- case: columns-in-other-order
CREATE TABLE h (id INTEGER, name TEXT, n INTEGER);
INSERT INTO h VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30);
INSERT INTO h (n, id) VALUES (40, 4), (50, 5);
SELECT id, name, n FROM h ORDER BY id;
-- case: from-select
CREATE TABLE h (id INTEGER, name TEXT, n INTEGER);
INSERT INTO h VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30);
INSERT INTO h SELECT n, name, id FROM h WHERE id > 1;
SELECT id, name, n FROM h ORDER BY id;
-- case: columns-from-select
CREATE TABLE h (id INTEGER, name TEXT, n INTEGER);
INSERT INTO h VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30);
INSERT INTO h (id) SELECT n FROM h;
SELECT id, name, n FROM h ORDER BY id;
-- case: default-values
CREATE TABLE h (id INTEGER, name TEXT, n INTEGER);
INSERT INTO h VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30);
INSERT INTO h DEFAULT VALUES;
SELECT id, name, n FROM h ORDER BY id;
-- case: unknown-column-is-an-error
CREATE TABLE h (id INTEGER, name TEXT, n INTEGER);
INSERT INTO h VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30);
INSERT INTO h (id, nope) VALUES (1, 2);
SELECT id, name, n FROM h ORDER BY id;
