-- case: plain
SELECT 'hello';
-- case: doubled-quote
SELECT 'it''s', '''';
-- case: empty-between-two
SELECT 'a', '', 'b';
-- case: semicolon-inside
SELECT 'a;b';
SELECT 'c';
-- case: comment-inside
SELECT 'not -- a comment', 'nor /* this */';
-- case: two-lines
SELECT 'first
second';
-- case: unicode
SELECT 'grün', 'λ';
