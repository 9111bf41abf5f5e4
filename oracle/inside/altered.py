"""Makes a test that must fail out of one that passes: the same file, where one value that it expects is
another.

Rule: a test that holds whatever value it expects tests nothing; only where the assertion is surely reached
and surely wrong is it altered. Standard library only, which is loaded when needed: most executors never do.
"""

from oracle.inside.checking import TYPE_CHECKING

if TYPE_CHECKING:
    import ast

OTHER_LETTERS = "qxz"


def altered(text: str, scope: str, name: str) -> "str | None":
    """Return the source with another value expected by the test `name` of the class `scope` ("" for none),
    and without the tests beside it; None where that cannot be done for sure.
    """
    import ast

    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    body = tree.body
    if scope:
        classes = [node for node in body if isinstance(node, ast.ClassDef) and node.name == scope]
        if len(classes) != 1:
            return None
        body = classes[0].body
    tests = [node for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test")]
    chosen = [node for node in tests if node.name == name]
    if len(chosen) != 1 or not is_straight(chosen[0]):
        return None
    literal = next(filter(None, map(expected, chosen[0].body)), None)
    if literal is None or literal.lineno != literal.end_lineno or literal.end_col_offset is None:
        return None
    lines = text.encode().split(b"\n")
    line = lines[literal.lineno - 1]
    lines[literal.lineno - 1] = (
        line[: literal.col_offset] + other(literal.value).encode() + line[literal.end_col_offset :]
    )
    for node in tests:
        if node is not chosen[0]:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            for number in range(first, (node.end_lineno or node.lineno) + 1):
                lines[number - 1] = b""
    return b"\n".join(lines).decode()


def is_straight(test: "ast.FunctionDef") -> bool:
    """Return True if the end of the test is reached whenever it passes."""
    import ast

    leaves = (ast.Return, ast.Raise, ast.Yield, ast.YieldFrom)
    return not test.decorator_list and not any(isinstance(node, leaves) for node in ast.walk(test))


def expected(statement: "ast.stmt") -> "ast.Constant | None":
    """Return the value that the statement asserts something to be equal to; None if it does not."""
    import ast

    sides: list[ast.expr] = []
    if isinstance(statement, ast.Assert) and isinstance(statement.test, ast.Compare):
        compare = statement.test
        if len(compare.ops) == 1 and isinstance(compare.ops[0], ast.Eq):
            sides = [compare.left, compare.comparators[0]]
    elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        call = statement.value
        if isinstance(call.func, ast.Attribute) and call.func.attr == "assertEqual":
            sides = call.args[:2]
    literals = [side for side in sides if isinstance(side, ast.Constant) and type(side.value) in (int, str)]
    return literals[0] if len(literals) == 1 and len(sides) == 2 else None


def other(value: object) -> str:
    """Return the source of a value that nothing equals that equals this one."""
    return repr(value * 2 + 3) if isinstance(value, int) else repr(f"{value}{OTHER_LETTERS}")
