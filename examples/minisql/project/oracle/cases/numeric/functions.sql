-- case: abs
SELECT abs(5), abs(-5), abs(0);
-- case: abs-real
SELECT abs(-2.5), abs(2.5);
-- case: abs-null
SELECT 1, abs(NULL), 2;
-- case: abs-nested
SELECT abs(abs(-3)), ABS(-4);
-- case: sign
SELECT sign(7), sign(-7), sign(0);
-- case: sign-real
SELECT sign(0.5), sign(-0.5);
-- case: sign-null
SELECT 1, sign(NULL), 2;
-- case: sign-of-abs
SELECT sign(abs(-9)), abs(sign(-9));
