"""Case files: what becomes a case, and every way in which a file cannot."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oracle.cases import files as case_files
from oracle.cases import plain, sections, sql
from oracle.cases.files import BadCases
from oracle.cases.spec import Suite
from oracle.suites import kinds

GLOB = ("oracle/cases/**/*.sql",)


SUITE = Suite("sql", "differential", "engine", cases=GLOB)


def load(*files, globs=GLOB, suite=SUITE):
    return kinds.load(
        globs, [(path, text.encode() if isinstance(text, str) else text) for path, text in files], suite
    )


def problems(*files, globs=GLOB):
    with pytest.raises(BadCases) as caught:
        load(*files, globs=globs)
    return [str(problem) for problem in caught.value.problems]


def test_a_file_without_separators_is_one_case_named_by_its_path():
    (case,) = load(("oracle/cases/parser/select.sql", "select 1;\n"))
    assert (case.id, case.input, case.file, case.line) == (
        "parser/select",
        "select 1;\n",
        "oracle/cases/parser/select.sql",
        1,
    )


def test_separators_name_the_cases_of_a_file():
    text = "-- about selects\n\n-- case: one\nselect 1;\n-- case: two-b\nselect 2;\n\n"
    found = load(("oracle/cases/p/s.sql", text))
    assert [(case.id, case.input, case.line) for case in found] == [
        ("p/s/one", "select 1;\n", 4),
        ("p/s/two-b", "select 2;\n\n", 6),
    ]


def test_files_outside_the_globs_are_not_read():
    assert load(("oracle/cases/x.txt", b"\xff"), ("src/x.sql", b"\xff")) == []


def test_cases_come_in_the_order_of_their_ids_whatever_the_order_of_the_files():
    files = [(f"oracle/cases/{name}.sql", "select 1;") for name in "cab"]
    assert [case.id for case in load(*files)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("select 1;\n-- case: a\nselect 2;\n", "oracle/cases/x.sql:1: text before the first"),
        ("-- case: a b\nselect 1;\n", "oracle/cases/x.sql:1: case name 'a b'"),
        ("-- case:\nselect 1;\n", "oracle/cases/x.sql:1: case name ''"),
        ("-- case: a\n\n-- case: b\nselect 1;\n", "oracle/cases/x.sql:2: the case is empty"),
        ("-- case: a\n-- nothing\n/* at all */", "oracle/cases/x.sql:2: the case has no statement"),
        (
            "-- case: a\nselect 1;\n-- case: a\nselect 2;\n",
            "oracle/cases/x.sql:4: case 'x/a' is already in oracle/cases/x.sql:2",
        ),
        ("", "oracle/cases/x.sql:1: the case is empty"),
        (b"select 1;\n\n\xfe;", "oracle/cases/x.sql:3: not UTF-8: byte 0xfe at offset 11"),
        (
            "-- case: a\nselect '" + "x" * case_files.CASE_BYTES_MAX + "';",
            "oracle/cases/x.sql:2: the case has 1,048,586 bytes",
        ),
    ],
)
def test_a_bad_file_is_told_with_file_and_line_and_yields_no_case(content, said):
    (problem,) = problems(("oracle/cases/x.sql", content))
    assert problem.startswith(said)


def test_every_problem_of_every_file_is_told_at_once():
    assert (
        len(problems(("oracle/cases/x.sql", b"\xff"), ("oracle/cases/y.sql", "-- case: ?\n-- case: !\n")))
        == 3
    )


def test_two_files_that_give_the_same_id_are_a_problem():
    globs = ("c/*.sql", "c/*.txt")
    assert problems(("c/a.sql", "select 1;"), ("c/a.txt", "hello"), globs=globs) == [
        "c/a.txt:1: case 'a' is already in c/a.sql:1"
    ]


def test_a_form_feed_inside_a_string_begins_no_case():
    (case,) = load(("oracle/cases/x.sql", "select '\x0c-- case: no\x0b';\n"))
    assert case.id == "x"


def test_the_format_comes_from_the_suffix():
    assert case_files.format_of("a/b.sql") is sql
    assert case_files.format_of("a/b.json") is plain
    assert case_files.format_of("a/Makefile") is plain


@pytest.mark.parametrize(
    ("script", "pieces"),
    [
        ("select 1; select 2;\n", ["select 1;", " select 2;\n"]),
        ("select 1;\n\nselect 2", ["select 1;\n", "\nselect 2"]),
        ("select 'a;''b;' ;select \"x;\";", ["select 'a;''b;' ;", 'select "x;";']),
        ("select 1 -- no; end\n;x;", ["select 1 -- no; end\n;", "x;"]),
        ("select /* ; */ 1;x;", ["select /* ; */ 1;", "x;"]),
        (".mode list\nselect 1;\n", [".mode list\n", "select 1;\n"]),
        (".print it's\nselect 1;", [".print it's\n", "select 1;"]),
        ("select .5;", ["select .5;"]),
        (
            "-- t\ncreate trigger t after insert on a begin update a set x=case when 1 then 2 end; delete from b; end;\nselect 1;",
            [
                "-- t\ncreate trigger t after insert on a begin update a set x=case when 1 then 2 end; delete from b; end;\n",
                "select 1;",
            ],
        ),
        ("begin; select 1; end; select 2;", ["begin;", " select 1;", " end;", " select 2;"]),
        ("select 'unclosed; select 2;", ["select 'unclosed; select 2;"]),
    ],
)
def test_statements(script, pieces):
    assert sql.pieces(script) == pieces


SQLISH = st.text(alphabet=st.sampled_from("';\"-/*.\n `[]begincaseendtriggerx "), max_size=60)


@given(st.one_of(SQLISH, st.text()))
@example("create trigger x begin; end")
def test_pieces_joined_are_the_text_again(text):
    assert "".join(sql.pieces(text)) == text
    assert "".join(plain.pieces(text)) == text


@given(
    st.lists(
        st.tuples(
            st.from_regex(sections.NAME, fullmatch=True),
            st.text(alphabet="abc \n", min_size=1).map(lambda t: t + "x\n"),
        )
    )
)
def test_sections_come_back_as_they_were_written(written):
    text = "".join(f"-- case: {name}\n{body}" for name, body in written)
    read = [(section.name, section.text) for section in sections.split(text)] if written else []
    assert read == written
