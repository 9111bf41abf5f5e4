-- case: all
CREATE TABLE p (id INTEGER, x INTEGER, y INTEGER);
INSERT INTO p VALUES (1, 5, 9), (2, 7, 3), (3, 6, 6);
SELECT * FROM p ORDER BY id;
-- case: all-of-alias
CREATE TABLE p (id INTEGER, x INTEGER, y INTEGER);
INSERT INTO p VALUES (1, 5, 9), (2, 7, 3), (3, 6, 6);
SELECT q.* FROM p AS q ORDER BY q.id;
-- case: star-and-more
CREATE TABLE p (id INTEGER, x INTEGER, y INTEGER);
INSERT INTO p VALUES (1, 5, 9), (2, 7, 3), (3, 6, 6);
SELECT *, 0 FROM p ORDER BY id;
-- case: more-and-star
CREATE TABLE p (id INTEGER, x INTEGER, y INTEGER);
INSERT INTO p VALUES (1, 5, 9), (2, 7, 3), (3, 6, 6);
SELECT y, p.*, x FROM p ORDER BY x;
-- case: two-stars
CREATE TABLE p (id INTEGER, x INTEGER, y INTEGER);
INSERT INTO p VALUES (1, 5, 9), (2, 7, 3), (3, 6, 6);
SELECT *, * FROM p WHERE id = 2;
-- case: star-with-where
CREATE TABLE p (id INTEGER, x INTEGER, y INTEGER);
INSERT INTO p VALUES (1, 5, 9), (2, 7, 3), (3, 6, 6);
SELECT * FROM p WHERE x > 5 ORDER BY id;
-- case: star-distinct
CREATE TABLE p (id INTEGER, x INTEGER, y INTEGER);
INSERT INTO p VALUES (1, 5, 9), (2, 7, 3), (3, 6, 6);
SELECT DISTINCT * FROM p ORDER BY y;
-- case: star-without-table-is-an-error
CREATE TABLE p (id INTEGER, x INTEGER, y INTEGER);
INSERT INTO p VALUES (1, 5, 9), (2, 7, 3), (3, 6, 6);
SELECT id FROM p WHERE id = 1;
SELECT *;
SELECT x FROM p WHERE id = 1;
