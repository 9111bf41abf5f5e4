-- case: equal
SELECT 1 = 1, 1 = 2, 1 == 1, 2 == 3;
-- case: unequal
SELECT 1 <> 1, 1 <> 2, 1 != 1, 1 != 2;
-- case: less
SELECT 1 < 2, 2 < 2, 2 <= 2, 3 <= 2;
-- case: greater
SELECT 2 > 1, 2 > 2, 2 >= 2, 1 >= 2;
-- case: integer-and-real
SELECT 1 = 1.0, 1 < 1.5, 2.5 > 3;
-- case: with-null
SELECT 1 = NULL, NULL = NULL, NULL <> 1, NULL < 1, 5;
-- case: chained
SELECT 1 < 2 = 1, 3 > 2 > 1, 1 = 1 = 1;
-- case: negative
SELECT -1 < 0, -2 < -1, -1 > -2;
