"""Kinds of suite, comparators and readers: each is one record in one place, and half of one is refused by
name.
"""

import ast
import dataclasses
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.images.image_source import ImageSource
from oracle.cases.spec import Suite
from oracle.judging import compare
from oracle.suites import discovery, kinds
from oracle.suites.base import CaseRules, ProjectRules, SessionRules, SuiteKind
from oracle.suites.command import readers
from oracle.suites.command.readers.base import Reader, Tool
from oracle.suites.discovery import HalfRecord

ROOT = Path(__file__).parents[2]
ROOMS = ("oracle", "mcp_server", "harness")
HOME = ROOT / "oracle" / "suites"
DOCS = (ROOT / "docs" / "oracle.md").read_text()
RECORDS = [
    *kinds.KINDS.values(),
    *(rules for kind in kinds.KINDS.values() for rules in (kind.cases, kind.project) if rules),
    *(kind.cases.sessions for kind in kinds.KINDS.values() if kind.cases and kind.cases.sessions),
    *readers.READERS,
    *readers.TOOLS,
]


# -- nobody asks for a kind by its name --


def asked_by_name(source: str) -> list[str]:
    """Return where a program asks for the kind of a suite, instead of asking the kind."""
    tree = ast.parse(source)
    told = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FormattedValue)
        for inner in ast.walk(node)
    }
    return [
        f"{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(tree)
        if id(node) not in told and (_is_kind_of_suite(node) or _is_name_of_kind(node))
    ]


def _is_kind_of_suite(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "kind" and "suite" in ast.unparse(node.value)


def _is_name_of_kind(node: ast.AST) -> bool:
    # "command" is the name of other things too: it counts only beside the kind of a suite.
    return isinstance(node, ast.Constant) and node.value in set(kinds.KINDS) - {"command"}


@pytest.mark.parametrize("room", ROOMS)
def test_nobody_outside_of_the_suites_asks_for_a_kind_by_its_name(room):
    files = [file for file in (ROOT / room).rglob("*.py") if HOME not in file.parents]
    assert len(files) > 5
    assert {str(file): found for file in files if (found := asked_by_name(file.read_text()))} == {}


@pytest.mark.parametrize(
    "source",
    [
        'if suite.kind == "command": pass',
        'x = 1 if world.config.suites[name].kind != "command" else 2',
        'match suite.kind:\n    case "command": pass',
        'RUNS = {"sqllogictest": run}',
        'is_ours = spec.kind in ("differential", "command")',
    ],
)
def test_a_place_that_asks_by_name_is_found(source):
    assert asked_by_name(source)


def test_a_message_may_name_the_kind():
    assert asked_by_name('message = f"a suite of kind {suite.kind!r}"') == []
    assert asked_by_name('if agent.kind == "command": pass') == []


# -- half a record --


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_that_lacks_a_part_cannot_be_made_and_the_part_is_named(record):
    parts = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    required = [field.name for field in dataclasses.fields(record) if field.default is dataclasses.MISSING]
    assert len(required) >= 2
    for name in required:
        with pytest.raises(TypeError, match=rf"missing 1 required keyword-only argument: '{name}'"):
            type(record)(**{part: value for part, value in parts.items() if part != name})


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], Path]]:
    """Make a package with one more module in it, as if somebody had begun to add a kind."""
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / "begun_kinds"
    package.mkdir()
    (package / "__init__.py").write_text("")

    def plant(name: str, text: str) -> Path:
        (package / f"{name}.py").write_text(text)
        return package

    yield plant
    for name in [name for name in sys.modules if name.startswith("begun_kinds")]:
        del sys.modules[name]


def test_a_module_without_its_kind_is_named(planted):
    place = planted("graph", "NAME = 'graph'\n")
    with pytest.raises(HalfRecord, match=r"begun_kinds\.graph has no KIND: a SuiteKind"):
        kinds.discovered([str(place)], place.name)


def test_half_a_kind_is_refused_and_what_it_lacks_is_named(planted):
    begun = "from oracle.suites.base import SuiteKind\nKIND = SuiteKind(name='graph', needs=('cases',))\n"
    place = planted("graph", begun)
    with pytest.raises(TypeError, match=r"'problems', .*'default_protected', .*and 'reference_image'"):
        kinds.discovered([str(place)], place.name)


def test_a_kind_that_does_not_say_how_its_suites_run_is_refused(planted):
    copied = "import dataclasses\nfrom oracle.suites import differential\n"
    begun = "KIND = dataclasses.replace(differential.KIND, name='graph', cases=None)\n"
    place = planted("graph", copied + begun)
    with pytest.raises(HalfRecord, match="'graph' needs either `cases` or `project`"):
        kinds.discovered([str(place)], place.name)


def test_a_whole_kind_is_found_by_its_file_alone(planted):
    copied = "import dataclasses\nfrom oracle.suites import differential\n"
    place = planted("graph", copied + "KIND = dataclasses.replace(differential.KIND, name='graph')\n")
    assert list(kinds.discovered([str(place)], place.name)) == ["graph"]


def test_half_a_reader_is_refused_and_what_it_lacks_is_named(planted):
    place = planted(
        "trx", "from oracle.suites.command.readers.base import Reader\nREADER = Reader(name='trx')\n"
    )
    with pytest.raises(TypeError, match="'read', 'is_file', 'names_tests', 'is_forgeable'"):
        discovery.records([str(place)], place.name, named="READER", of=Reader, beside=())


# -- every record has what belongs to it elsewhere --


@pytest.mark.parametrize("kind", kinds.KINDS.values(), ids=lambda kind: kind.name)
def test_each_kind_has_its_images_and_its_words(kind: SuiteKind):
    images = {kind.candidate_image, kind.reference_image} - {None}
    assert images <= set(ImageSource().recipes)
    assert f'"{kind.name}"' in DOCS, f"docs/oracle.md does not tell of the kind {kind.name!r}"
    assert set(kind.needs) <= {field.name for field in dataclasses.fields(Suite)}


@pytest.mark.parametrize("reader", readers.READERS, ids=lambda reader: str(reader.name))
def test_each_reader_has_its_words(reader: Reader):
    word = reader.name or "exit status"
    assert word in DOCS, f"docs/oracle.md does not tell of the results {word!r}"


@pytest.mark.parametrize("tool", readers.TOOLS, ids=lambda tool: tool.canary_path)
def test_each_tool_has_a_canary_that_can_be_planted(tool: Tool):
    assert "{name}" in tool.canary_path and {"{passes}", "{fails}"} <= set(
        re.findall(r"\{passes\}|\{fails\}", tool.canary_text)
    )


def test_the_parts_of_a_kind_are_the_parts_that_are_asked_for():
    """A field that no caller reads is no part of a kind."""
    program = "\n".join(
        file.read_text() for room in ROOMS for file in (ROOT / room).rglob("*.py") if file.name != "base.py"
    )
    for record in (SuiteKind, CaseRules, SessionRules, ProjectRules, Reader, Tool):
        for field in dataclasses.fields(record):
            assert re.search(rf"\.{field.name}\b", program), f"nobody asks for {record.__name__}.{field.name}"


# -- comparators --


def half_comparators(functions: dict[str, Callable[..., object]], entered: dict[str, object]) -> list[str]:
    """Return what is missing of functions that compare like a comparator, one sentence each."""
    missing = []
    for name, function in functions.items():
        signature = inspect.signature(function)
        types = [parameter.annotation for parameter in signature.parameters.values()]
        if types != [str, str, float] or signature.return_annotation != (str | None):
            continue
        if function not in entered.values():
            missing.append(f"{name} is entered under no name")
        if not function.__doc__:
            missing.append(f"{name} does not say when two outputs are the same")
    return missing


def functions_of(module: object) -> dict[str, Callable[..., object]]:
    return dict(inspect.getmembers(module, inspect.isfunction))


def test_every_comparator_is_entered_and_says_when_outputs_are_the_same():
    assert half_comparators(functions_of(compare), compare.COMPARATORS) == []
    assert len(compare.COMPARATORS) >= 5


def test_half_a_comparator_is_found_and_what_it_lacks_is_named():
    def caseless(candidate: str, reference: str, tolerance: float) -> str | None:
        return None if candidate.lower() == reference.lower() else "differs"

    functions = functions_of(compare) | {"_caseless": caseless}
    assert half_comparators(functions, compare.COMPARATORS) == [
        "_caseless is entered under no name",
        "_caseless does not say when two outputs are the same",
    ]


def test_the_list_of_comparators_is_the_table_in_messages_and_in_the_docs():
    suite = Suite("a", "differential", "r", ("c",), candidate="x", reference="y", compare="fuzzy")
    assert kinds.problems(suite) == [f"compare is 'fuzzy'; it can be {', '.join(compare.names())}"]
    assert f"# {' '.join(compare.names())}" in DOCS
