-- case: count
CREATE TABLE o (who TEXT, what TEXT, n INTEGER);
INSERT INTO o VALUES ('ann', 'tea', 2), ('bob', 'tea', 1), ('ann', 'cake', 3), ('cid', NULL, 4), ('bob', 'cake', NULL), ('ann', 'tea', 5);
SELECT who, count(*) FROM o GROUP BY who ORDER BY who;
-- case: sum
CREATE TABLE o (who TEXT, what TEXT, n INTEGER);
INSERT INTO o VALUES ('ann', 'tea', 2), ('bob', 'tea', 1), ('ann', 'cake', 3), ('cid', NULL, 4), ('bob', 'cake', NULL), ('ann', 'tea', 5);
SELECT what, sum(n) FROM o GROUP BY what ORDER BY what;
-- case: two-keys
CREATE TABLE o (who TEXT, what TEXT, n INTEGER);
INSERT INTO o VALUES ('ann', 'tea', 2), ('bob', 'tea', 1), ('ann', 'cake', 3), ('cid', NULL, 4), ('bob', 'cake', NULL), ('ann', 'tea', 5);
SELECT who, what, count(*) FROM o GROUP BY who, what ORDER BY who, what;
-- case: key-not-selected
CREATE TABLE o (who TEXT, what TEXT, n INTEGER);
INSERT INTO o VALUES ('ann', 'tea', 2), ('bob', 'tea', 1), ('ann', 'cake', 3), ('cid', NULL, 4), ('bob', 'cake', NULL), ('ann', 'tea', 5);
SELECT sum(n) FROM o GROUP BY who ORDER BY who;
-- case: null-is-a-group
CREATE TABLE o (who TEXT, what TEXT, n INTEGER);
INSERT INTO o VALUES ('ann', 'tea', 2), ('bob', 'tea', 1), ('ann', 'cake', 3), ('cid', NULL, 4), ('bob', 'cake', NULL), ('ann', 'tea', 5);
SELECT what, count(n) FROM o GROUP BY what ORDER BY what DESC;
-- case: by-ordinal
CREATE TABLE o (who TEXT, what TEXT, n INTEGER);
INSERT INTO o VALUES ('ann', 'tea', 2), ('bob', 'tea', 1), ('ann', 'cake', 3), ('cid', NULL, 4), ('bob', 'cake', NULL), ('ann', 'tea', 5);
SELECT who, max(n) FROM o GROUP BY 1 ORDER BY who;
-- case: by-alias
CREATE TABLE o (who TEXT, what TEXT, n INTEGER);
INSERT INTO o VALUES ('ann', 'tea', 2), ('bob', 'tea', 1), ('ann', 'cake', 3), ('cid', NULL, 4), ('bob', 'cake', NULL), ('ann', 'tea', 5);
SELECT who AS person, min(n) FROM o GROUP BY person ORDER BY who;
-- case: by-expression
CREATE TABLE o (who TEXT, what TEXT, n INTEGER);
INSERT INTO o VALUES ('ann', 'tea', 2), ('bob', 'tea', 1), ('ann', 'cake', 3), ('cid', NULL, 4), ('bob', 'cake', NULL), ('ann', 'tea', 5);
SELECT n > 2, count(*) FROM o GROUP BY n > 2 ORDER BY n > 2;
-- case: order-by-aggregate
CREATE TABLE o (who TEXT, what TEXT, n INTEGER);
INSERT INTO o VALUES ('ann', 'tea', 2), ('bob', 'tea', 1), ('ann', 'cake', 3), ('cid', NULL, 4), ('bob', 'cake', NULL), ('ann', 'tea', 5);
SELECT who FROM o GROUP BY who ORDER BY sum(n) DESC;
