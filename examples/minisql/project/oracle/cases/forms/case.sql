-- case: searched
SELECT CASE WHEN 1 > 2 THEN 'a' WHEN 2 > 1 THEN 'b' ELSE 'c' END;
-- case: simple
SELECT CASE 3 WHEN 1 THEN 'one' WHEN 3 THEN 'three' END;
-- case: no-else
SELECT 1, CASE WHEN 0 THEN 2 END, 3;
-- case: null-subject
SELECT CASE NULL WHEN NULL THEN 'same' ELSE 'unknown' END;
-- case: nested
SELECT CASE WHEN 1 THEN CASE 2 WHEN 2 THEN 'inner' END ELSE 'outer' END;
-- case: in-expression
SELECT CASE WHEN 0 THEN 1 ELSE 2 END = 2, typeof(CASE 1 WHEN 1 THEN 'x' END);
