-- case: order-by-alias
CREATE TABLE p (id INTEGER, x INTEGER, y INTEGER);
INSERT INTO p VALUES (1, 5, 9), (2, 7, 3), (3, 6, 6);
SELECT id, x AS k FROM p ORDER BY k;
-- case: order-by-alias-descending
CREATE TABLE p (id INTEGER, x INTEGER, y INTEGER);
INSERT INTO p VALUES (1, 5, 9), (2, 7, 3), (3, 6, 6);
SELECT id, y k FROM p ORDER BY k DESC;
-- case: alias-before-column
CREATE TABLE p (id INTEGER, x INTEGER, y INTEGER);
INSERT INTO p VALUES (1, 5, 9), (2, 7, 3), (3, 6, 6);
SELECT id, y AS x FROM p ORDER BY x;
-- case: alias-ignores-case
CREATE TABLE p (id INTEGER, x INTEGER, y INTEGER);
INSERT INTO p VALUES (1, 5, 9), (2, 7, 3), (3, 6, 6);
SELECT id AS Number FROM p ORDER BY Number DESC;
-- case: order-by-ordinal
CREATE TABLE p (id INTEGER, x INTEGER, y INTEGER);
INSERT INTO p VALUES (1, 5, 9), (2, 7, 3), (3, 6, 6);
SELECT id, x FROM p ORDER BY 2;
-- case: ordinals
CREATE TABLE p (id INTEGER, x INTEGER, y INTEGER);
INSERT INTO p VALUES (1, 5, 9), (2, 7, 3), (3, 6, 6);
SELECT x = 6, id FROM p ORDER BY 1 DESC, 2 DESC;
-- case: ordinal-of-star
CREATE TABLE p (id INTEGER, x INTEGER, y INTEGER);
INSERT INTO p VALUES (1, 5, 9), (2, 7, 3), (3, 6, 6);
SELECT * FROM p ORDER BY 3;
-- case: ordinal-out-of-range-is-an-error
CREATE TABLE p (id INTEGER, x INTEGER, y INTEGER);
INSERT INTO p VALUES (1, 5, 9), (2, 7, 3), (3, 6, 6);
SELECT id FROM p ORDER BY 2;
SELECT id FROM p ORDER BY 1;
