-- case: concatenate
SELECT 'a' || 'b' || 'c', 'n' || 1, 2.5 || 'x';
-- case: concatenate-null
SELECT 'a', 'a' || NULL, NULL || 'b', 'c';
-- case: length
SELECT length('hello'), length(''), length('grün'), length(12345);
-- case: length-null-and-blob
SELECT 1, length(NULL), length(x'0102'), 2;
-- case: upper-lower
SELECT upper('MiniSql 1'), lower('MiniSql 1');
-- case: upper-non-ascii
SELECT upper('grün'), lower('ÄB');
-- case: substr
SELECT substr('hello', 2), substr('hello', 2, 3), substr('hello', 1, 1);
-- case: substr-negative
SELECT substr('hello', -3), substr('hello', -3, 2), substr('hello', 4, -2);
