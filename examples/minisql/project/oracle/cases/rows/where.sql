-- case: equal
CREATE TABLE n (a INTEGER, b INTEGER);
INSERT INTO n VALUES (3, 30), (1, 10), (2, 20), (1, 15), (NULL, 5), (2, 20);
SELECT b FROM n WHERE a = 3;
-- case: less
CREATE TABLE n (a INTEGER, b INTEGER);
INSERT INTO n VALUES (3, 30), (1, 10), (2, 20), (1, 15), (NULL, 5), (2, 20);
SELECT a, b FROM n WHERE b < 20 ORDER BY b;
-- case: and-or
CREATE TABLE n (a INTEGER, b INTEGER);
INSERT INTO n VALUES (3, 30), (1, 10), (2, 20), (1, 15), (NULL, 5), (2, 20);
SELECT a, b FROM n WHERE a = 1 AND b > 10 OR a = 3 ORDER BY b;
-- case: null-is-not-true
CREATE TABLE n (a INTEGER, b INTEGER);
INSERT INTO n VALUES (3, 30), (1, 10), (2, 20), (1, 15), (NULL, 5), (2, 20);
SELECT b FROM n WHERE a <> 1 ORDER BY b;
-- case: is-null
CREATE TABLE n (a INTEGER, b INTEGER);
INSERT INTO n VALUES (3, 30), (1, 10), (2, 20), (1, 15), (NULL, 5), (2, 20);
SELECT b FROM n WHERE a IS NULL;
-- case: not
CREATE TABLE n (a INTEGER, b INTEGER);
INSERT INTO n VALUES (3, 30), (1, 10), (2, 20), (1, 15), (NULL, 5), (2, 20);
SELECT b FROM n WHERE NOT (a = 1 OR a = 2) ORDER BY b;
-- case: nothing-then-something
CREATE TABLE n (a INTEGER, b INTEGER);
INSERT INTO n VALUES (3, 30), (1, 10), (2, 20), (1, 15), (NULL, 5), (2, 20);
SELECT b FROM n WHERE a > 100;
SELECT a FROM n WHERE b = 30;
-- case: constant
CREATE TABLE n (a INTEGER, b INTEGER);
INSERT INTO n VALUES (3, 30), (1, 10), (2, 20), (1, 15), (NULL, 5), (2, 20);
SELECT b FROM n WHERE 1 ORDER BY b;
SELECT b FROM n WHERE 0;
