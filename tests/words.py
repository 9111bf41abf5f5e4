"""`python tests/words.py [PATH...]`: where the product's names break the rules of docs/words.md.

A name that is a participle of saying or wishing tells nobody what the value is, so it may live for three
lines at most; a public class has its name to itself.
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("oracle", "mcp_server", "harness")
EMPTY = frozenset({"told", "said", "heard", "shown", "wanted", "known"})
LINES_MAX = 3
# Names of JSON fields that older versions read: a border keeps its words.
ON_THE_WIRE = frozenset({"heard", "said"})
WIRE = "mcp_server/wire/"

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def files(*paths: str) -> list[Path]:
    found: set[Path] = set()
    for path in paths or ROOMS:
        place = ROOT / path
        found |= {place} if place.is_file() else set(place.rglob("*.py"))
    return sorted(found)


def _is_empty(name: str) -> bool:
    return name.strip("_") in EMPTY


def _defined(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and name of every definition, parameter, attribute and field that has an empty name."""
    for node in ast.walk(tree):
        if isinstance(node, Definition) and _is_empty(node.name):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg) and _is_empty(node.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_empty(node.attr):
            yield node.lineno, node.attr
        elif isinstance(node, ast.ClassDef):
            yield from _empty_fields(node)


def _empty_fields(node: ast.ClassDef) -> Iterator[tuple[int, str]]:
    for field in node.body:
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and _is_empty(field.target.id)
        ):
            yield field.lineno, field.target.id


def _long_lived(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and name of every empty local name whose first and last use are too far apart."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        uses: dict[str, list[int]] = defaultdict(list)
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and _is_empty(inner.id):
                uses[inner.id].append(inner.lineno)
        for name, lines in uses.items():
            if max(lines) - min(lines) >= LINES_MAX:
                yield min(lines), name


def empty_names(path: Path) -> list[str]:
    tree = ast.parse(path.read_text())
    place = str(path.relative_to(ROOT))
    kept = ON_THE_WIRE if place.startswith(WIRE) else frozenset()
    found = sorted({*_defined(tree), *_long_lived(tree)})
    return [f"{place}:{line}: `{name}` says nothing of its value" for line, name in found if name not in kept]


def homonyms(paths: list[Path]) -> list[str]:
    """Return a line for each public class name that more than one module defines."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(ROOT)))
    return [f"class {name}: {', '.join(where)}" for name, where in sorted(places.items()) if len(where) > 1]


def main(paths: list[str]) -> int:
    found = [line for path in files(*paths) for line in empty_names(path)] + homonyms(files())
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
