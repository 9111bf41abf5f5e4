-- case: distinct
CREATE TABLE n (a INTEGER, b INTEGER);
INSERT INTO n VALUES (3, 30), (1, 10), (2, 20), (1, 15), (NULL, 5), (2, 20);
SELECT DISTINCT a FROM n ORDER BY a;
-- case: distinct-pairs
CREATE TABLE n (a INTEGER, b INTEGER);
INSERT INTO n VALUES (3, 30), (1, 10), (2, 20), (1, 15), (NULL, 5), (2, 20);
SELECT DISTINCT a, b FROM n ORDER BY b DESC;
-- case: limit
CREATE TABLE n (a INTEGER, b INTEGER);
INSERT INTO n VALUES (3, 30), (1, 10), (2, 20), (1, 15), (NULL, 5), (2, 20);
SELECT b FROM n ORDER BY b LIMIT 2;
-- case: offset
CREATE TABLE n (a INTEGER, b INTEGER);
INSERT INTO n VALUES (3, 30), (1, 10), (2, 20), (1, 15), (NULL, 5), (2, 20);
SELECT b FROM n ORDER BY b LIMIT 2 OFFSET 3;
-- case: comma-is-offset-first
CREATE TABLE n (a INTEGER, b INTEGER);
INSERT INTO n VALUES (3, 30), (1, 10), (2, 20), (1, 15), (NULL, 5), (2, 20);
SELECT b FROM n ORDER BY b LIMIT 1, 3;
-- case: negative-is-all
CREATE TABLE n (a INTEGER, b INTEGER);
INSERT INTO n VALUES (3, 30), (1, 10), (2, 20), (1, 15), (NULL, 5), (2, 20);
SELECT b FROM n ORDER BY b LIMIT -1 OFFSET 4;
