-- case: integer
SELECT typeof(1), typeof(-7), typeof(0);
-- case: real
SELECT typeof(1.0), typeof(-0.5);
-- case: null
SELECT typeof(NULL);
-- case: large
SELECT typeof(9223372036854775807), typeof(9223372036854775808);
-- case: of-functions
SELECT typeof(coalesce(NULL, 1.5)), typeof(ifnull(NULL, 1)), typeof(nullif(1, 1));
-- case: of-iif
SELECT typeof(iif(1, 2, 3.0)), typeof(iif(0, 2, 3.0));
