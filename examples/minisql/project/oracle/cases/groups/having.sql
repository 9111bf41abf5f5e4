-- case: count
CREATE TABLE o (who TEXT, what TEXT, n INTEGER);
INSERT INTO o VALUES ('ann', 'tea', 2), ('bob', 'tea', 1), ('ann', 'cake', 3), ('cid', NULL, 4), ('bob', 'cake', NULL), ('ann', 'tea', 5);
SELECT who, count(*) FROM o GROUP BY who HAVING count(*) > 1 ORDER BY who;
-- case: on-key
CREATE TABLE o (who TEXT, what TEXT, n INTEGER);
INSERT INTO o VALUES ('ann', 'tea', 2), ('bob', 'tea', 1), ('ann', 'cake', 3), ('cid', NULL, 4), ('bob', 'cake', NULL), ('ann', 'tea', 5);
SELECT who, sum(n) FROM o GROUP BY who HAVING who <> 'bob' ORDER BY who;
-- case: aggregate-not-selected
CREATE TABLE o (who TEXT, what TEXT, n INTEGER);
INSERT INTO o VALUES ('ann', 'tea', 2), ('bob', 'tea', 1), ('ann', 'cake', 3), ('cid', NULL, 4), ('bob', 'cake', NULL), ('ann', 'tea', 5);
SELECT who FROM o GROUP BY who HAVING max(n) >= 4 ORDER BY who;
-- case: with-where
CREATE TABLE o (who TEXT, what TEXT, n INTEGER);
INSERT INTO o VALUES ('ann', 'tea', 2), ('bob', 'tea', 1), ('ann', 'cake', 3), ('cid', NULL, 4), ('bob', 'cake', NULL), ('ann', 'tea', 5);
SELECT who, count(*) FROM o WHERE what = 'tea' GROUP BY who HAVING count(*) = 2 ORDER BY who;
-- case: null-sum
CREATE TABLE o (who TEXT, what TEXT, n INTEGER);
INSERT INTO o VALUES ('ann', 'tea', 2), ('bob', 'tea', 1), ('ann', 'cake', 3), ('cid', NULL, 4), ('bob', 'cake', NULL), ('ann', 'tea', 5);
SELECT who, what FROM o GROUP BY who, what HAVING sum(n) IS NULL;
-- case: and
CREATE TABLE o (who TEXT, what TEXT, n INTEGER);
INSERT INTO o VALUES ('ann', 'tea', 2), ('bob', 'tea', 1), ('ann', 'cake', 3), ('cid', NULL, 4), ('bob', 'cake', NULL), ('ann', 'tea', 5);
SELECT who FROM o GROUP BY who HAVING count(*) > 1 AND min(n) = 1;
-- case: avg
CREATE TABLE o (who TEXT, what TEXT, n INTEGER);
INSERT INTO o VALUES ('ann', 'tea', 2), ('bob', 'tea', 1), ('ann', 'cake', 3), ('cid', NULL, 4), ('bob', 'cake', NULL), ('ann', 'tea', 5);
SELECT what, avg(n) FROM o GROUP BY what HAVING avg(n) > 2 ORDER BY what;
