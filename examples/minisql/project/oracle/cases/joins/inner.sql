-- case: on
CREATE TABLE a (id INTEGER, name TEXT);
CREATE TABLE b (aid INTEGER, v INTEGER);
INSERT INTO a VALUES (1, 'one'), (2, 'two'), (3, 'three');
INSERT INTO b VALUES (1, 10), (1, 11), (2, 20), (9, 90), (NULL, 0);
SELECT a.name, b.v FROM a JOIN b ON a.id = b.aid ORDER BY b.v;
-- case: inner-word
CREATE TABLE a (id INTEGER, name TEXT);
CREATE TABLE b (aid INTEGER, v INTEGER);
INSERT INTO a VALUES (1, 'one'), (2, 'two'), (3, 'three');
INSERT INTO b VALUES (1, 10), (1, 11), (2, 20), (9, 90), (NULL, 0);
SELECT name, v FROM a INNER JOIN b ON id = aid ORDER BY v;
-- case: comma-where
CREATE TABLE a (id INTEGER, name TEXT);
CREATE TABLE b (aid INTEGER, v INTEGER);
INSERT INTO a VALUES (1, 'one'), (2, 'two'), (3, 'three');
INSERT INTO b VALUES (1, 10), (1, 11), (2, 20), (9, 90), (NULL, 0);
SELECT name, v FROM a, b WHERE id = aid ORDER BY v;
-- case: cross
CREATE TABLE a (id INTEGER, name TEXT);
CREATE TABLE b (aid INTEGER, v INTEGER);
INSERT INTO a VALUES (1, 'one'), (2, 'two'), (3, 'three');
INSERT INTO b VALUES (1, 10), (1, 11), (2, 20), (9, 90), (NULL, 0);
SELECT a.id, b.v FROM a CROSS JOIN b WHERE b.v < 12 ORDER BY a.id, b.v;
-- case: condition-and
CREATE TABLE a (id INTEGER, name TEXT);
CREATE TABLE b (aid INTEGER, v INTEGER);
INSERT INTO a VALUES (1, 'one'), (2, 'two'), (3, 'three');
INSERT INTO b VALUES (1, 10), (1, 11), (2, 20), (9, 90), (NULL, 0);
SELECT name, v FROM a JOIN b ON id = aid AND v > 10 ORDER BY v;
-- case: unequal
CREATE TABLE a (id INTEGER, name TEXT);
CREATE TABLE b (aid INTEGER, v INTEGER);
INSERT INTO a VALUES (1, 'one'), (2, 'two'), (3, 'three');
INSERT INTO b VALUES (1, 10), (1, 11), (2, 20), (9, 90), (NULL, 0);
SELECT a.id, b.v FROM a JOIN b ON a.id < b.aid ORDER BY a.id, b.v;
-- case: self-join
CREATE TABLE a (id INTEGER, name TEXT);
CREATE TABLE b (aid INTEGER, v INTEGER);
INSERT INTO a VALUES (1, 'one'), (2, 'two'), (3, 'three');
INSERT INTO b VALUES (1, 10), (1, 11), (2, 20), (9, 90), (NULL, 0);
SELECT x.id, y.id FROM a AS x JOIN a AS y ON x.id < y.id ORDER BY x.id, y.id;
-- case: three-tables
CREATE TABLE a (id INTEGER, name TEXT);
CREATE TABLE b (aid INTEGER, v INTEGER);
INSERT INTO a VALUES (1, 'one'), (2, 'two'), (3, 'three');
INSERT INTO b VALUES (1, 10), (1, 11), (2, 20), (9, 90), (NULL, 0);
SELECT x.name, b.v, y.name FROM a x JOIN b ON x.id = b.aid JOIN a y ON y.id = 3 ORDER BY b.v;
