-- case: unmatched-left
CREATE TABLE a (id INTEGER, name TEXT);
CREATE TABLE b (aid INTEGER, v INTEGER);
INSERT INTO a VALUES (1, 'one'), (2, 'two'), (3, 'three');
INSERT INTO b VALUES (1, 10), (1, 11), (2, 20), (9, 90), (NULL, 0);
SELECT a.name, b.v FROM a LEFT JOIN b ON a.id = b.aid ORDER BY a.id, b.v;
-- case: outer-word
CREATE TABLE a (id INTEGER, name TEXT);
CREATE TABLE b (aid INTEGER, v INTEGER);
INSERT INTO a VALUES (1, 'one'), (2, 'two'), (3, 'three');
INSERT INTO b VALUES (1, 10), (1, 11), (2, 20), (9, 90), (NULL, 0);
SELECT a.id, b.aid FROM a LEFT OUTER JOIN b ON a.id = b.aid ORDER BY a.id, b.v;
-- case: only-unmatched
CREATE TABLE a (id INTEGER, name TEXT);
CREATE TABLE b (aid INTEGER, v INTEGER);
INSERT INTO a VALUES (1, 'one'), (2, 'two'), (3, 'three');
INSERT INTO b VALUES (1, 10), (1, 11), (2, 20), (9, 90), (NULL, 0);
SELECT a.name FROM a LEFT JOIN b ON a.id = b.aid WHERE b.aid IS NULL;
-- case: condition-in-on
CREATE TABLE a (id INTEGER, name TEXT);
CREATE TABLE b (aid INTEGER, v INTEGER);
INSERT INTO a VALUES (1, 'one'), (2, 'two'), (3, 'three');
INSERT INTO b VALUES (1, 10), (1, 11), (2, 20), (9, 90), (NULL, 0);
SELECT a.id, b.v FROM a LEFT JOIN b ON a.id = b.aid AND b.v > 10 ORDER BY a.id, b.v;
-- case: null-key
CREATE TABLE a (id INTEGER, name TEXT);
CREATE TABLE b (aid INTEGER, v INTEGER);
INSERT INTO a VALUES (1, 'one'), (2, 'two'), (3, 'three');
INSERT INTO b VALUES (1, 10), (1, 11), (2, 20), (9, 90), (NULL, 0);
SELECT b.v, a.name FROM b LEFT JOIN a ON a.id = b.aid ORDER BY b.v;
-- case: left-then-left
CREATE TABLE a (id INTEGER, name TEXT);
CREATE TABLE b (aid INTEGER, v INTEGER);
INSERT INTO a VALUES (1, 'one'), (2, 'two'), (3, 'three');
INSERT INTO b VALUES (1, 10), (1, 11), (2, 20), (9, 90), (NULL, 0);
SELECT a.id, b.v, c.v FROM a LEFT JOIN b ON a.id = b.aid LEFT JOIN b AS c ON c.aid = b.aid AND c.v < b.v ORDER BY a.id, b.v, c.v;
-- case: distinct
CREATE TABLE a (id INTEGER, name TEXT);
CREATE TABLE b (aid INTEGER, v INTEGER);
INSERT INTO a VALUES (1, 'one'), (2, 'two'), (3, 'three');
INSERT INTO b VALUES (1, 10), (1, 11), (2, 20), (9, 90), (NULL, 0);
SELECT DISTINCT a.id FROM a LEFT JOIN b ON a.id = b.aid ORDER BY a.id;
