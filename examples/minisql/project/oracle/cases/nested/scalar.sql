-- case: maximum
CREATE TABLE d (id INTEGER, dept TEXT, pay INTEGER);
INSERT INTO d VALUES (1, 'x', 10), (2, 'x', 30), (3, 'y', 20), (4, 'y', 20), (5, 'z', NULL);
SELECT id FROM d WHERE pay = (SELECT max(pay) FROM d);
-- case: in-select-list
CREATE TABLE d (id INTEGER, dept TEXT, pay INTEGER);
INSERT INTO d VALUES (1, 'x', 10), (2, 'x', 30), (3, 'y', 20), (4, 'y', 20), (5, 'z', NULL);
SELECT id, (SELECT count(*) FROM d) FROM d WHERE id = 1;
-- case: correlated
CREATE TABLE d (id INTEGER, dept TEXT, pay INTEGER);
INSERT INTO d VALUES (1, 'x', 10), (2, 'x', 30), (3, 'y', 20), (4, 'y', 20), (5, 'z', NULL);
SELECT id FROM d AS o WHERE pay = (SELECT max(pay) FROM d AS i WHERE i.dept = o.dept) ORDER BY id;
-- case: correlated-count
CREATE TABLE d (id INTEGER, dept TEXT, pay INTEGER);
INSERT INTO d VALUES (1, 'x', 10), (2, 'x', 30), (3, 'y', 20), (4, 'y', 20), (5, 'z', NULL);
SELECT id, (SELECT count(*) FROM d i WHERE i.pay < o.pay) FROM d o ORDER BY id;
-- case: nothing-is-null
CREATE TABLE d (id INTEGER, dept TEXT, pay INTEGER);
INSERT INTO d VALUES (1, 'x', 10), (2, 'x', 30), (3, 'y', 20), (4, 'y', 20), (5, 'z', NULL);
SELECT 1, (SELECT pay FROM d WHERE id = 99), 2;
-- case: two-columns-is-an-error
CREATE TABLE d (id INTEGER, dept TEXT, pay INTEGER);
INSERT INTO d VALUES (1, 'x', 10), (2, 'x', 30), (3, 'y', 20), (4, 'y', 20), (5, 'z', NULL);
SELECT (SELECT id, pay FROM d);
SELECT (SELECT id FROM d WHERE id = 3);
