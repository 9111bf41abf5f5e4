"""The .slt format: what each record becomes, every way in which a file is bad, and that no text makes the
parser fall over.
"""

import ast
import hashlib
import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oracle import inside
from oracle.cases import files as case_files
from oracle.cases import sql
from oracle.cases.files import BadCases
from oracle.cases.spec import Case, Suite
from oracle.suites import kinds
from oracle.suites.sqllogictest.records import Expected

SUITE = Suite("slt", "sqllogictest", "engine", cases=("slt/**",), candidate="./engine", engine="sqlite")
JSON_SUITE = replace(SUITE, protocol="json")
MD5 = "0" * 32
INSIDE = Path(inside.__file__).parent


def load(*files, suite=SUITE):
    return kinds.load(
        suite.cases, [(path, text.encode() if isinstance(text, str) else text) for path, text in files], suite
    )


def problems(text, suite=SUITE):
    with pytest.raises(BadCases) as caught:
        load(("slt/x.slt", text), suite=suite)
    return [str(problem).removeprefix("slt/x.slt:") for problem in caught.value.problems]


def one(text, suite=SUITE):
    (case,) = load(("slt/x.slt", text), suite=suite)
    return case


# -- records
# ----------------------------------------------------------------------------------------------------


def test_a_record_is_a_case_named_by_its_file_and_line():
    text = "# about\n\nskipif mysql\nquery IT rowsort label-1\nSELECT a,\n b FROM t\n----\n1\nx\n"
    (case,) = load(("slt/select/basic.test", text))
    assert case == Case(
        "select/basic/00004",
        "SELECT a,\n b FROM t\n",
        "slt/select/basic.test",
        4,
        "query IT rowsort label-1\n----\n1\nx",
    )


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("statement ok\nX", Expected("ok")),
        ("statement ok # comment\nX", Expected("ok")),
        ("statement error\nX", Expected("error")),
        ("statement count 012\nX", Expected("count", values=("12",))),
        ("query I\nX", Expected("query", "I")),
        ("query I\nX\n----", Expected("query", "I")),
        ("query I\nX\n----   \n1", Expected("query", "I", values=("1",))),
        (
            "  query \t IT\trowsort\nX\n----\n1\n a b \n",
            Expected("query", "IT", "rowsort", values=("1", " a b ")),
        ),
        (
            "query ITR valuesort some-label # why\nX\n----\n1\n2\n3",
            Expected("query", "ITR", "valuesort", "some-label", ("1", "2", "3")),
        ),
        ("query IT\nX\n----\n1\ta\n2\t\n", Expected("query", "IT", values=("1", "a", "2", ""))),
        (f"query IT\nX\n----\n30 values hashing to {MD5}", Expected("query", "IT", hashed=(30, MD5))),
        (
            f"query TT\nX\n----\n30 values hashing to {MD5}\n-",
            Expected("query", "TT", values=(f"30 values hashing to {MD5}", "-")),
        ),
        (
            "query T\nX\n----\n1 # no comment\n#a comment\n2",
            Expected("query", "T", values=("1 # no comment", "2")),
        ),
        ("query T\r\nX\r\n----\r\na\r\r\n\r\n", Expected("query", "T", values=("a\r",))),
    ],
)
def test_records(record, expected):
    assert Expected.of(one(record).expect) == expected


@pytest.mark.parametrize(
    ("record", "fits", "not_this"),
    [
        ("statement error no such (table|view)\nX", "Error: no such view: v", "no such index"),
        ("statement error\nX\n----\nno such (table", "oh: no such (table here", "no such table"),
        ("statement error\nX\n----\ntwo\nlines", "in two\nlines", "two lines"),
        ("statement error : t$\nX", "no such table: t\n  select ...", "no such table: tt"),
    ],
)
def test_an_expected_message_is_a_pattern_on_the_line_or_a_text_after_it(record, fits, not_this):
    says = Expected.of(one(record).expect).says
    assert says.search(fits) and not says.search(not_this)


def test_only_the_sql_of_a_record_is_its_input():
    text = "statement ok\n# not this\nCREATE TABLE t(\n# nor this\n a)\n\nstatement error\nINSERT\n----\nno\n"
    assert [case.input for case in load(("slt/x.slt", text))] == ["CREATE TABLE t(\n a)\n", "INSERT\n"]


@pytest.mark.parametrize(
    ("conditions", "runs"),
    [
        ("", True),
        ("onlyif sqlite\n", True),
        ("onlyif SQLite # why\n", True),
        ("onlyif mysql\n", False),
        ("skipif sqlite\n", False),
        ("skipif mysql\n", True),
        ("skipif mysql\nskipif oracle\n", True),
        ("skipif mysql\nonlyif sqlite\n# comment\nskipif mssql\n", True),
        ("skipif mysql\nskipif sqlite\n", False),
        ("onlyif sqlite\nonlyif mysql\n", False),
    ],
)
def test_a_record_that_its_conditions_skip_is_no_case(conditions, runs):
    found = load(("slt/x.slt", f"{conditions}statement ok\nX\n\nstatement ok\nY\n"))
    assert [case.input for case in found] == (["X\n", "Y\n"] if runs else ["Y\n"])


def test_halt_ends_the_file_and_what_follows_is_not_read():
    text = "statement ok\nX\n\n{}halt\n\nloop\nqu\0ery Q\n\nstatement ok\nY\n"
    assert [case.input for case in load(("slt/x.slt", text.format("")))] == ["X\n"]
    assert problems(text.format("onlyif mysql\n"))[0].startswith("7: unknown record `loop`")


def test_a_file_of_skipped_records_has_no_cases():
    assert load(("slt/x.slt", "onlyif mysql\nstatement ok\nX\n")) == []


def test_a_slt_file_of_a_differential_suite_is_plain_text():
    (case,) = load(("slt/x.slt", "loop\n"), suite=replace(SUITE, kind="differential"))
    assert case.input == "loop\n"


# -- what is wrong with a file
# ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1: the file has no record"),
        ("# nothing\n\n# at all\n", "1: the file has no record"),
        (
            "\nloop i 0 10\nstatement ok\nX\n",
            "2: unknown record `loop`: it can be statement, query, skipif, onlyif, halt, hash-threshold",
        ),
        ("include other.slt", "1: unknown record `include`"),
        ("mode nosort", "1: unknown record `mode`"),
        ("connection con1\nstatement ok\nX", "1: unknown record `connection`"),
        ("----\n1", "1: unknown record `----`"),
        ("Statement ok\nX", "1: unknown record `Statement`"),
        ("\ufeffstatement ok\nX", "1: unknown record `\ufeffstatement`"),
        ("statement\nX", "1: a statement is ok, error or count, not ''"),
        ("statement maybe\nX", "1: a statement is ok, error or count, not 'maybe'"),
        ("statement ok ok\nX", "1: nothing may stand after `statement ok`: 'ok'"),
        ("statement ok", "1: the record has no SQL"),
        ("statement ok\n# only a comment", "1: the record has no SQL"),
        ("statement ok\n\nstatement ok\nX", "1: the record has no SQL"),
        ("statement ok\nX\n----\n1", "3: a `statement ok` has no results"),
        ("statement count x\nX", "1: `statement count` needs a number of rows"),
        ("statement count 1 2\nX", "1: `statement count` needs a number of rows"),
        ("statement count -1\nX", "1: `statement count` needs a number of rows"),
        ("statement count 1\nX\n----", "3: a `statement count` has no results"),
        ("statement error a(\nX", "1: the message is not a regular expression"),
        ("statement error a\nX\n----\nb", "4: the message stands on the line of `statement error` already"),
        ("query\nX", "1: `query` needs the types of its columns"),
        ("query # I\nX", "1: `query` needs the types of its columns"),
        ("query IX\nX", "1: 'X' is no type of a column: 'IX' may have T (text), I (integer) and R (real)"),
        ("query error\nX", "1: 'e' is no type of a column"),
        ("query I sorted\nX", "1: 'sorted' is no sort mode: it can be nosort, rowsort, valuesort"),
        ("query I rowsort a b\nX", "1: nothing may stand after the label: 'b'"),
        ("query I\n----\n1", "1: the record has no SQL"),
        ("query II\nX\n----\n1\n2\n3", "6: 3 values make no rows of 2"),
        (f"query II\nX\n----\n3 values hashing to {MD5}", "4: 3 values make no rows of 2"),
        ("query II\nX\n----\n1\t2\n1\t2\t3", "5: a row of 3 values, where the types say 2"),
        ("query I\nX\n----\n1\t2", "4: a row of 2 values, where the types say 1"),
        ("query II\nX\n----\n1\t2\n3", "5: a row of 1 values, where the types say 2"),
        ("skipif\nstatement ok\nX", "1: `skipif` needs the name of one engine"),
        ("onlyif a b\nstatement ok\nX", "1: `onlyif` needs the name of one engine"),
        ("skipif mysql", "1: no record follows `skipif`; it stands on the line before its record"),
        ("skipif mysql\n\nstatement ok\nX", "1: no record follows `skipif`"),
        ("hash-threshold", "1: `hash-threshold` needs a number of values"),
        ("hash-threshold few", "1: `hash-threshold` needs a number of values"),
        ("hash-threshold 8\nstatement ok\nX", "2: a blank line must stand after `hash-threshold`"),
        (
            "query I nosort l\nX\n----\n1\n\nquery I nosort l\nY\n----\n2",
            "6: label 'l' has other results than at line 1",
        ),
        (
            "query I nosort l\nX\n----\n1\n\nskipif sqlite\nquery I nosort l\nY\n----\n2",
            "7: label 'l' has other results than at line 1",
        ),
        ("statement ok\nSELECT 'a", "1: the SQL does not end"),
        ("statement ok\nSELECT 1 /* a", "1: the SQL does not end"),
        ("statement error\nCREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1", "1: the SQL does not end"),
        ("statement ok\nSELECT '\0'", "1: the SQL has a NUL character"),
        (
            "statement ok\nX\n\n" + "statement ok\n" + "x" * (case_files.CASE_BYTES_MAX + 1),
            "4: the case has 1,048,578 bytes",
        ),
        (b"statement ok\nX\n\nstatement ok\n\xff\n", "5: not UTF-8: byte 0xff at offset 29"),
    ],
)
def test_a_bad_file_is_told_with_its_line_and_yields_no_case(text, said):
    found = problems(text)
    assert len(found) == 1 and found[0].startswith(said), found


def test_every_problem_of_a_file_is_told_at_once():
    text = "query X\nX\n\nstatement ok\nfine\n\nloop\n\nskipif\nstatement ok\nX\n"
    assert [problem.split(":")[0] for problem in problems(text)] == ["1", "7", "9"]


def test_conditions_need_a_suite_that_names_its_engine():
    assert problems("skipif mysql\nstatement ok\nX", replace(SUITE, engine=None)) == [
        '1: `skipif mysql` needs to know what the candidate is called: set engine = "..." in the suite'
    ]


def test_where_no_shell_is_asked_a_statement_may_stay_open():
    text = "statement error\nSELECT 'a"
    assert one(text, JSON_SUITE).input == "SELECT 'a\n"
    assert problems(text, replace(JSON_SUITE, reference="sqlite3")) != []


def test_where_a_reference_judges_the_results_in_the_file_do_not_count():
    text = "query I nosort l\nX\n----\n1\n\nquery I nosort l\nY\n----\n2"
    assert len(load(("slt/x.slt", text), suite=replace(SUITE, reference="sqlite3"))) == 2


def test_a_file_of_fifty_megabytes_is_not_read():
    """Not even to see that it is no text."""
    (problem,) = problems(b"\xff" * 50_000_000)
    assert problem == "1: the file has 50,000,000 bytes; at most 16,777,216 are read as cases: split it"


def test_two_files_of_the_same_name_are_told_once():
    with pytest.raises(BadCases) as caught:
        load(*[(f"slt/x.{suffix}", "statement ok\nX\n\n" * 50) for suffix in ("slt", "test")])
    assert [str(problem) for problem in caught.value.problems] == [
        "slt/x.test:1: case 'x/00001' is already in slt/x.slt:1"
    ]


# -- files are run whole
# ------------------------------------------------------------------------------------------


def test_with_one_record_its_whole_file_runs():
    found = load(("slt/a.slt", "statement ok\nX\n\nstatement ok\nY\n"), ("slt/b.slt", "statement ok\nZ\n"))
    assert kinds.together(SUITE, found, ["a/00004"]) == ["a/00001", "a/00004"]
    assert kinds.together(SUITE, found, ["b/00001", "unknown"]) == ["b/00001"]
    assert kinds.together(replace(SUITE, kind="differential"), found, ["a/00004"]) == ["a/00004"]


def test_an_answer_depends_on_every_record_before_it_and_on_none_after():
    first, second, third = "statement ok\nX\n\n", "query I\nY\n----\n1\n\n", "statement ok\nZ\n"
    before = kinds.answer_inputs(SUITE, load(("slt/a.slt", first + second)))
    assert before.items() < kinds.answer_inputs(SUITE, load(("slt/a.slt", first + second + third))).items()
    for text in (
        first.replace("X", "W") + second,
        first + second.replace("1", "2"),
        first + second.replace("I", "T"),
    ):
        assert kinds.answer_inputs(SUITE, load(("slt/a.slt", text)))["a/00004"] != before["a/00004"]
    assert kinds.answer_inputs(replace(SUITE, kind="differential"), [Case("a", "X", "f", 1)]) == {"a": "X"}


# -- any text
# -----------------------------------------------------------------------------------------------------


def tried(content):
    """Cases, or problems."""
    try:
        return load(("slt/x.slt", content)), []
    except BadCases as bad:
        return [], bad.problems


WORDS = [
    "statement",
    "ok",
    "error",
    "count",
    "query",
    "I",
    "TIR",
    "rowsort",
    "valuesort",
    "skipif",
    "onlyif",
    "sqlite",
    "halt",
    "hash-threshold",
]
SCRAPS = st.sampled_from(
    [
        *WORDS,
        "----",
        "\n",
        "\n\n",
        " ",
        "\t",
        "\r\n",
        "#",
        "'",
        "(",
        "8",
        "SELECT 1",
        f"2 values hashing to {MD5}",
        "\0",
        "é",
    ]
)


@given(
    st.one_of(
        st.text(), st.lists(SCRAPS, max_size=40).map("".join), st.lists(SCRAPS, max_size=40).map(" ".join)
    )
)
@example("statement error (?P<a>.)(?P<a>.)\nX")
@example("statement error " + "(" * 5_000 + ")" * 5_000 + "\nX")
@example("statement error a{99999999999999}\nX")
@example("query I\nX\n----\n999999999999999999999 values hashing to " + MD5)
def test_any_text_is_cases_or_problems(text):
    found, bad = tried(text.encode())
    assert all(
        problem.file == "slt/x.slt" and 1 <= problem.line <= text.count("\n") + 1 and problem.message
        for problem in bad
    )
    assert all(Expected.of(case.expect).text() == case.expect and case.input.strip() for case in found)


@given(st.binary(max_size=60))
def test_any_bytes_are_cases_or_problems(content):
    found, bad = tried(content)
    assert not (found and bad)


LINE = st.text(
    st.characters(exclude_characters="\0\n\r\t#'\"`[/-", exclude_categories=["C", "Z"]),
    min_size=1,
    max_size=12,
)
SQL = st.lists(LINE.filter(lambda line: "trigger" not in line.lower()), min_size=1, max_size=3).map("\n".join)
ENDS = st.sampled_from(["\n", "\r\n"])


@st.composite
def records(draw):
    """One record as it is written, and what it must be read as."""
    kind = draw(st.sampled_from(["ok", "error", "message", "count", "query", "hash", "rows"]))
    sql = draw(SQL)
    if kind in ("ok", "error"):
        return f"statement {kind}\n{sql}", sql, Expected(kind)
    if kind == "message":
        lines = draw(st.lists(LINE, min_size=1, max_size=3))
        return (
            f"statement error\n{sql}\n----\n" + "\n".join(lines),
            sql,
            Expected("error", values=tuple(lines)),
        )
    if kind == "count":
        count = draw(st.integers(0, 10**6))
        return f"statement count {count}\n{sql}", sql, Expected("count", values=(str(count),))
    types = draw(st.text("TIR", min_size=1, max_size=4))
    sort = draw(st.sampled_from(["nosort", "rowsort", "valuesort"]))
    label = draw(st.sampled_from(["", f"label-{draw(st.integers(0, 10**9))}"]))
    header = " ".join(filter(None, ("query", types, sort, label)))
    rows = draw(st.lists(st.lists(LINE, min_size=len(types), max_size=len(types)), max_size=4))
    values = tuple(value for row in rows for value in row)
    if kind == "hash":
        count = len(types) * draw(st.integers(1, 500))
        digest = hashlib.md5(sql.encode()).hexdigest()
        return (
            f"{header}\n{sql}\n----\n{count} values hashing to {digest}",
            sql,
            Expected("query", types, sort, label, hashed=(count, digest)),
        )
    lines = ["\t".join(row) for row in rows] if kind == "rows" and len(types) > 1 else values
    return "\n".join([header, sql, "----", *lines]), sql, Expected("query", types, sort, label, values)


@given(st.lists(records(), min_size=1, max_size=6), ENDS, st.sampled_from(["\n", "  \n", "\n# comment\n\n"]))
def test_records_come_back_as_they_were_written(written, end, gap):
    labels = [expected.label for _, _, expected in written if expected.label]
    if len(set(labels)) < len(labels):
        return
    text = f"\n{gap}".join(record for record, _, _ in written).replace("\n", end)
    found = load(("slt/x.slt", text))
    assert [case.input for case in found] == [sql + "\n" for _, sql, _ in written]
    read = [Expected.of(case.expect) for case in found]
    assert [replace(one, says=None) for one in read] == [expected for _, _, expected in written]
    assert all(one.says.search("\n".join(one.values)) for one in read if one.says)
    assert [text.replace(end, "\n").split("\n")[case.line - 1] for case in found] == [
        record.split("\n")[0] for record, _, _ in written
    ]


# -- where a statement ends
# ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ended"),
    [
        ("SELECT 1", "SELECT 1\n;\n"),
        ("SELECT 1;", "SELECT 1;\n"),
        ("SELECT 1 ;\n ", "SELECT 1 ;\n"),
        ("SELECT 'a;'", "SELECT 'a;'\n;\n"),
        ("SELECT 'it''s", None),
        ("SELECT 'it''s'", "SELECT 'it''s'\n;\n"),
        ('SELECT "a', None),
        ("SELECT [a", None),
        ("SELECT `a`", "SELECT `a`\n;\n"),
        ("SELECT `", None),
        ("SELECT 1 -- a;", "SELECT 1 -- a;\n;\n"),
        ("SELECT 1; -- a", "SELECT 1; -- a\n"),
        ("SELECT 1 /* ; */", "SELECT 1 /* ; */\n;\n"),
        ("SELECT 1 /*/", None),
        (
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END",
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END\n;\n",
        ),
        ("create temp trigger t begin select 1; end;", "create temp trigger t begin select 1; end;\n"),
        ("explain create trigger t begin select 1", None),
        ("CREATE TRIGGER t", None),
        ("DROP TRIGGER t", "DROP TRIGGER t\n;\n"),
    ],
)
def test_a_statement_is_ended_as_a_shell_needs_it(text, ended):
    assert sql.ended(text) == ended


# -- suites
# -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        (
            {
                "reference": "sqlite3",
                "held_out": ("../hidden/*.slt",),
                "protocol": "json",
                "separator": "\x1f",
                "null": "",
            },
            None,
        ),
        ({"cases": ()}, "a sqllogictest suite needs cases"),
        ({"candidate": None}, "a sqllogictest suite needs candidate"),
        ({"protocol": "odbc"}, "protocol is 'odbc'; it can be shell or json"),
        (
            {"start": "fork"},
            'a sqllogictest suite starts its engine once for each file: start must be "process"',
        ),
        (
            {"compare": "lines"},
            "compare has no meaning for a sqllogictest suite: each record says how its answer is compared",
        ),
        (
            {"separator": ""},
            "separator is what stands between two columns of a row: some text without a line end",
        ),
        (
            {"separator": "\n"},
            "separator is what stands between two columns of a row: some text without a line end",
        ),
        ({"null": "a\nb"}, "null is how the engine writes NULL: a text without a line end"),
    ],
)
def test_a_suite_that_cannot_run_says_why(change, said):
    assert kinds.problems(replace(SUITE, **change)) == ([said] if said else [])


def test_the_scripts_that_become_one_in_the_box_share_no_name():
    """The text of batch comes before that of session: a function of the same name would replace batch's own."""
    scripts = ("checking", "leftovers", "processes", "batch", "session")
    trees = {name: ast.parse((INSIDE / f"{name}.py").read_text()) for name in scripts}
    names = {
        name: {made for node in tree.body for made in made_by(node)} - {"main"}
        for name, tree in trees.items()
    }
    assert "EngineProcess" in names["session"] and "Slot" in names["batch"]
    for one, other in itertools.combinations(scripts, 2):
        assert names[one] & names[other] == set()


def made_by(node):
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    return [target.id for target in getattr(node, "targets", []) if isinstance(target, ast.Name)]
