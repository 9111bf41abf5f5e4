-- case: ascending
CREATE TABLE n (a INTEGER, b INTEGER);
INSERT INTO n VALUES (3, 30), (1, 10), (2, 20), (1, 15), (NULL, 5), (2, 20);
SELECT b FROM n ORDER BY b ASC;
-- case: descending
CREATE TABLE n (a INTEGER, b INTEGER);
INSERT INTO n VALUES (3, 30), (1, 10), (2, 20), (1, 15), (NULL, 5), (2, 20);
SELECT b FROM n ORDER BY b DESC;
-- case: null-first
CREATE TABLE n (a INTEGER, b INTEGER);
INSERT INTO n VALUES (3, 30), (1, 10), (2, 20), (1, 15), (NULL, 5), (2, 20);
SELECT a, b FROM n ORDER BY a, b;
-- case: two-keys
CREATE TABLE n (a INTEGER, b INTEGER);
INSERT INTO n VALUES (3, 30), (1, 10), (2, 20), (1, 15), (NULL, 5), (2, 20);
SELECT a, b FROM n ORDER BY a DESC, b ASC;
-- case: by-column-not-selected
CREATE TABLE n (a INTEGER, b INTEGER);
INSERT INTO n VALUES (3, 30), (1, 10), (2, 20), (1, 15), (NULL, 5), (2, 20);
SELECT b FROM n ORDER BY a DESC, b DESC;
-- case: by-expression
CREATE TABLE n (a INTEGER, b INTEGER);
INSERT INTO n VALUES (3, 30), (1, 10), (2, 20), (1, 15), (NULL, 5), (2, 20);
SELECT a, b FROM n WHERE a IS NOT NULL ORDER BY a = 2, b;
