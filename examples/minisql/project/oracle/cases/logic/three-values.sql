-- case: and
SELECT 1 AND 1, 1 AND 0, 0 AND 0, 2 AND 3;
-- case: or
SELECT 1 OR 1, 1 OR 0, 0 OR 0, 0 OR 7;
-- case: not
SELECT NOT 1, NOT 0, NOT 5, NOT NOT 5;
-- case: and-null
SELECT NULL AND 1, NULL AND 0, 0 AND NULL, NULL AND NULL, 1;
-- case: or-null
SELECT NULL OR 1, NULL OR 0, 1 OR NULL, NULL OR NULL, 1;
-- case: not-null
SELECT NOT NULL, 1;
-- case: precedence
SELECT 1 OR 0 AND 0, (1 OR 0) AND 0, NOT 0 AND 0, NOT (0 AND 0);
-- case: not-of-comparison
SELECT NOT 1 = 2, NOT 1 < 2;
