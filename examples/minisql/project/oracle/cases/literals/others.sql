-- case: blob
SELECT x'414243', X'61';
-- case: block-comment
SELECT /* one */ 1 /* two */, 2;
-- case: block-comment-lines
/* a comment
   over lines; with a semicolon */
SELECT 3;
-- case: line-comment-after
SELECT 'x' -- the rest
, 'y';
-- case: quoted-alias
SELECT 5 AS "a name", 'z' AS [another], 6 AS `third`;
