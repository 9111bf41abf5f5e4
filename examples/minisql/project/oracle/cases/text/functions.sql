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
-- case: substr-edges
SELECT 'a', substr('hello', 0, 2), substr('hello', 9), substr('hello', 2, 0), substring('hello', 5, 9);
-- case: trim
SELECT trim('  a b  ') || '|', ltrim('  a') || '|', rtrim('a  ') || '|';
-- case: trim-letters
SELECT trim('xxayxx', 'x'), ltrim('abcab', 'ab'), rtrim('abcab', 'ab');
-- case: replace
SELECT replace('banana', 'a', 'o'), replace('banana', 'an', ''), replace('abc', '', 'x');
-- case: instr
SELECT instr('hello', 'l'), instr('hello', 'lo'), instr('hello', 'z');
-- case: hex
SELECT hex('abc'), hex(x'00ff'), hex(12);
-- case: char-unicode
SELECT char(72, 105), unicode('A'), unicode('λ');
-- case: quote
SELECT quote('it''s'), quote(NULL), quote(5), quote(1.5), quote(x'0a');
-- case: nested
SELECT upper(substr('minisql', 1, 1)) || substr('minisql', 2), length(trim('  ab '));
-- case: null-arguments
SELECT 1, upper(NULL), substr(NULL, 1), replace('a', NULL, 'b'), instr(NULL, 'a'), 2;
