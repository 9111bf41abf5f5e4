-- case: in-select
CREATE TABLE d (id INTEGER, dept TEXT, pay INTEGER);
INSERT INTO d VALUES (1, 'x', 10), (2, 'x', 30), (3, 'y', 20), (4, 'y', 20), (5, 'z', NULL);
SELECT id FROM d WHERE dept IN (SELECT dept FROM d WHERE pay >= 20) ORDER BY id;
-- case: not-in-with-null
CREATE TABLE d (id INTEGER, dept TEXT, pay INTEGER);
INSERT INTO d VALUES (1, 'x', 10), (2, 'x', 30), (3, 'y', 20), (4, 'y', 20), (5, 'z', NULL);
SELECT 1 NOT IN (SELECT pay FROM d), 10 IN (SELECT pay FROM d);
-- case: exists
CREATE TABLE d (id INTEGER, dept TEXT, pay INTEGER);
INSERT INTO d VALUES (1, 'x', 10), (2, 'x', 30), (3, 'y', 20), (4, 'y', 20), (5, 'z', NULL);
SELECT DISTINCT dept FROM d o WHERE EXISTS (SELECT 1 FROM d i WHERE i.dept = o.dept AND i.pay = 20) ORDER BY dept;
-- case: not-exists
CREATE TABLE d (id INTEGER, dept TEXT, pay INTEGER);
INSERT INTO d VALUES (1, 'x', 10), (2, 'x', 30), (3, 'y', 20), (4, 'y', 20), (5, 'z', NULL);
SELECT id FROM d o WHERE NOT EXISTS (SELECT 1 FROM d i WHERE i.pay > o.pay) ORDER BY id;
-- case: from
CREATE TABLE d (id INTEGER, dept TEXT, pay INTEGER);
INSERT INTO d VALUES (1, 'x', 10), (2, 'x', 30), (3, 'y', 20), (4, 'y', 20), (5, 'z', NULL);
SELECT q.dept, q.top FROM (SELECT dept, pay AS top FROM d WHERE pay > 15) AS q ORDER BY q.top, q.dept;
-- case: from-aggregate
CREATE TABLE d (id INTEGER, dept TEXT, pay INTEGER);
INSERT INTO d VALUES (1, 'x', 10), (2, 'x', 30), (3, 'y', 20), (4, 'y', 20), (5, 'z', NULL);
SELECT max(c) FROM (SELECT count(*) AS c FROM d);
