"""Each row once, in the order of its first time; NULLs are alike here."""
from minisql.executor import rows as rows_of


def rows(node, outer):
    seen = set()
    for row in rows_of(node[1], outer):
        if row not in seen:
            seen.add(row)
            yield row
