"""Owns the small SQL cases that the oracle's speed is measured on. Rule: pure; the same seed gives the same
cases, and no two are alike.
"""

import random
from collections.abc import Iterator

PER_FILE = 100
WORDS = ("apple", "bird", "cloud", "door", "earth", "field", "glass", "hill", "iron", "jar")
SHAPES = ("sums", "rows", "groups", "joins", "changes", "texts")


def cases(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """(name, script) of each case: some statements on one or two tables of a few rows."""
    chance = random.Random(seed)
    for number in range(count):
        shape = SHAPES[number % len(SHAPES)]
        yield f"{shape}-{number:05}", f"{_script(shape, chance)}SELECT {number};\n"


def files(count: int, seed: int) -> dict[str, str]:
    """The cases as files of PER_FILE each, by name."""
    scripts: dict[str, list[str]] = {}
    for number, (name, script) in enumerate(cases(count, seed)):
        scripts.setdefault(f"{number // PER_FILE:03}.sql", []).append(f"-- case: {name}\n{script}")
    return {name: "".join(parts) for name, parts in scripts.items()}


def _script(shape: str, chance: random.Random) -> str:
    a, b, c = (chance.randrange(1, 100) for _ in range(3))
    match shape:
        case "sums":
            return (
                f"SELECT {a} + {b} * {c}, ({a} - {b}) % {c}, {a} * 0.5;\nSELECT CASE WHEN {a} < {b} THEN"
                " 'less' ELSE 'more' END;\n"
            )
        case "rows":
            return (
                _table("t", chance)
                + f"SELECT a, b FROM t WHERE a > {a} OR b = '{chance.choice(WORDS)}' ORDER BY a, b;\nSELECT"
                " DISTINCT b FROM t ORDER BY b LIMIT 3;\n"
            )
        case "groups":
            return (
                _table("t", chance)
                + f"SELECT b, COUNT(*), SUM(a) FROM t GROUP BY b HAVING SUM(a) > {a} ORDER BY b;\nSELECT"
                " MIN(a), MAX(a) FROM t;\n"
            )
        case "joins":
            return (
                _table("t", chance)
                + _table("u", chance)
                + "SELECT t.a, u.a FROM t JOIN u ON t.b = u.b ORDER BY t.a, u.a;\n"
            )
        case "changes":
            return (
                _table("t", chance)
                + f"UPDATE t SET a = a + {a} WHERE a < {b};\nDELETE FROM t WHERE a > {c};\nSELECT a, b FROM t"
                " ORDER BY a, b;\n"
            )
    word = chance.choice(WORDS)
    return (
        f"SELECT UPPER('{word}'), LENGTH('{word}') + {a}, SUBSTR('{word}', 2, 3) || '{b}';\nSELECT"
        f" REPLACE('{word}', 'a', '{c}');\n"
    )


def _table(name: str, chance: random.Random) -> str:
    rows = ", ".join(f"({chance.randrange(100)}, '{chance.choice(WORDS)}')" for _ in range(4))
    return f"CREATE TABLE {name} (a INTEGER, b TEXT);\nINSERT INTO {name} VALUES {rows};\n"
