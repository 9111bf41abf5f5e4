"""Answers to .slt records: how what an engine said is written, sorted and hashed, and when it is right."""

import hashlib
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oracle.cases.spec import Case, Suite
from oracle.judging import verdict
from oracle.judging.answer import Answer
from oracle.judging.judge import JudgeFailed, Pair
from oracle.suites import kinds, teeth
from oracle.suites.sqllogictest import shrink
from oracle.suites.sqllogictest import suite as slt
from oracle.suites.sqllogictest import teeth as slt_teeth
from oracle.suites.sqllogictest import values as slt_values
from oracle.suites.sqllogictest.records import Expected

FILES = Path(__file__).parent.parent / "slt"
SUITE = Suite("slt", "sqllogictest", "engine", cases=("slt/**",), candidate="./engine", engine="sqlite")
JSON_SUITE = replace(SUITE, protocol="json")
REFERENCE_SUITE = replace(SUITE, reference="sqlite3")


def case(expect, sql="SELECT 1\n", line=1, file="slt/x.slt"):
    return Case(f"x/{line:05}", sql, file, line, expect)


def query(types="I", *values, sort="nosort", label="", line=1):
    header = " ".join(filter(None, ("query", types, sort, label)))
    return case("\n".join([header, "----", *values]) if values else header, line=line)


def heard(one, said="", error="", suite=SUITE):
    return slt.answer(suite, one, Answer(said, 0, error))


def judged(one, said="", error="", suite=SUITE, reference=None):
    right = reference or slt.expectations(suite, [one])[one.id]
    (how,) = slt.judge(suite)([Pair(one, heard(one, said, error, suite), right)])
    return how


# -- how values are written
# ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        ("I", None, "NULL"), ("T", None, "NULL"), ("R", None, "NULL"),
        ("T", "", "(empty)"), ("T", "x y", "x y"), ("T", "a\tb\x00\x7f", "a@b@@"), ("T", "é", "@@"), ("T", "\udcff", "@"),
        ("I", "7", "7"), ("I", "-0", "0"), ("I", "+007", "7"), ("I", str(2**63), str(2**63)),
        ("I", "2.9", "2"), ("I", "-2.9", "-2"), ("I", "1e3", "1000"), ("I", "12 apples", "12"), ("I", "apples", "0"), ("I", "", "0"),
        ("R", "1", "1.000"), ("R", "-0.0", "0.000"), ("R", "-0.0001", "-0.000"), ("R", "2.00049", "2.000"), ("R", ".5", "0.500"),
        ("R", "1e15", "1000000000000000.000"), ("R", "-18446744073709551616", "-18446744073709550000.000"), ("R", "x", "0.000"),
        ("R", "1.5x", "1.500"), ("R", "1e99999", "Inf"), ("R", "-Inf", "-Inf"), ("I", "9" * 5_000, "9" * 300),
        ("I", "Inf", str(2**63 - 1)), ("I", "-1e300", str(-(2**63))),
    ],
)  # fmt: skip
def test_values_are_written_as_sqlites_own_runner_writes_them(kind, value, written):
    assert slt_values.rendered(kind, value, original=True) == written


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        ("T", "é", "é"),
        ("T", "a\tb\u2028\udcff", "a@b@@"),
        ("I", "apples", "apples"),
        ("I", "", "(empty)"),
        ("I", "007", "7"),
        ("R", "x", "x"),
    ],
)
def test_elsewhere_text_stays_what_it_is(kind, value, written):
    assert slt_values.rendered(kind, value, original=False) == written


@given(st.sampled_from("TIR"), st.text(), st.booleans())
@example("I", "1" * 301, True)
@example("R", "1." + "0" * 301, True)
def test_any_text_is_written_in_one_line(kind, value, original):
    written = slt_values.rendered(kind, value, original=original)
    assert written and "\n" not in written and written.encode()
    assert slt_values.rendered(kind, written, original=original) == written or kind != "T"


def test_integers_and_reals_are_as_printf_writes_them():
    numbers = ["0", "7", "-12", "0.5", "-3.25", "1234.5678", "99999.9999", "1e-7", "12345678901.125"]
    told = subprocess.run(
        ["printf", "%.3f\\n", *numbers], capture_output=True, text=True, check=True, env={"LC_ALL": "C"}
    ).stdout.split()
    assert [slt_values.rendered("R", number, original=True) for number in numbers] == told


# -- what an engine said
# ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("types", "said", "output"),
    [
        ("I", "1\n2\n", "1\n2\n"),
        ("I", "", ""),
        ("T", "\n", "(empty)\n"),
        ("T", "NULL\n", "NULL\n"),
        ("T", "a|b\n", "a|b\n"),
        ("IT", "1|a\n2|NULL\n", "1\na\n2\nNULL\n"),
        ("TT", "|\n", "(empty)\n(empty)\n"),
    ],
)
def test_lines_of_a_shell_are_rows(types, said, output):
    assert heard(query(types), said) == Answer(output, slt.OK)


@pytest.mark.parametrize(
    ("types", "said", "got"),
    [("I", "1|2\n", 2), ("IT", "1\n", 1), ("TT", "a|b|c\n", 3), ("II", "\n", 1), ("R", "1|2\n", 2)],
)
def test_rows_of_another_width_are_no_answer(types, said, got):
    answer = heard(query(types), said)
    assert answer.exit == slt.MISFIT and answer.error.startswith(
        f"a row of {got} columns, where the record's types say {len(types)}"
    )
    assert ("separator '|'" in answer.error) == (got > len(types) > 1)
    assert judged(query(types), said) == "the rows do not have the columns of the record's types"


def test_a_row_without_a_value_is_no_answer():
    assert heard(query("I"), '{"rows": [[]]}', suite=JSON_SUITE).exit == slt.MISFIT


def test_separator_and_null_are_the_suites():
    suite = replace(SUITE, separator=" :: ", null="-")
    assert heard(query("TT"), "a|b :: -\nNULL :: c\n", suite=suite).output == "a|b\nNULL\nNULL\nc\n"


def test_what_a_shell_writes_to_stderr_is_an_error():
    assert heard(query("I"), "1\n", "Error: no\n") == Answer("", slt.ERROR, "Error: no\n")
    assert heard(query("I"), "1\n", "\n").exit == slt.OK


@pytest.mark.parametrize(
    ("one", "said", "answer"),
    [
        (
            query("ITR"),
            {"rows": [[1, "a", 2.5], [None, "", 3]]},
            Answer("1\na\n2.500\nNULL\n(empty)\n3.000\n", slt.OK),
        ),
        (query("T"), {"rows": [["a\nb|c"]]}, Answer("a@b|c\n", slt.OK)),
        (query("II"), {"rows": [[True, False]]}, Answer("1\n0\n", slt.OK)),
        (query("T"), {"rows": [["NULL"], [None]]}, Answer("NULL\nNULL\n", slt.OK)),
        (query("I"), {"rows": []}, Answer("", slt.OK)),
        (query("I"), {"error": "no such table"}, Answer("", slt.ERROR, "no such table")),
        (query("I"), {"error": ""}, Answer("", slt.ERROR, "an error without words")),
        (case("statement ok"), {"rows": [[1, 2]]}, Answer("", slt.OK)),
        (case("statement ok"), {"count": 2}, Answer("", slt.OK)),
        (case("statement count 3"), {"rows": [], "count": 3}, Answer("3\n", slt.OK)),
        (query("I"), {"rows": [[1]], "count": 3}, Answer("1\n", slt.OK)),
    ],
)
def test_objects_of_the_json_protocol_are_answers(one, said, answer):
    assert heard(one, json.dumps(said) + "\n", "a warning", JSON_SUITE) == answer


@pytest.mark.parametrize(
    "line",
    [
        "",
        "1\n",
        "[]\n",
        "{}\n",
        '{"rows": 1}\n',
        '{"rows": [1]}\n',
        '{"rows": [[[]]]}\n',
        '{"rows": [[{}]]}\n',
        "[" * 100_000,
        '{"rows": [[1]]',
        "\udcff",
    ],
)
def test_what_is_no_answer_of_the_protocol_is_wrong_and_shown(line):
    answer = heard(query("I"), line, "said on stderr", JSON_SUITE)
    assert answer.crash().startswith("this is no answer of the protocol") and answer.error == "said on stderr"
    assert heard(case("statement count 1"), '{"rows": []}', suite=JSON_SUITE).crash()
    json.dumps(answer.to_json(), ensure_ascii=False).encode()


def test_numbers_of_any_length_harm_nobody():
    assert heard(query("I"), '{"rows": [[' + "9" * 100_000 + "]]}", suite=JSON_SUITE).output.startswith("999")
    assert heard(query("RR"), '{"rows": [[1e99999, -1e99999]]}', suite=JSON_SUITE).output == "Inf\n-Inf\n"
    assert heard(query("T"), '{"rows": [[1e999999999]]}', suite=JSON_SUITE).output == "1e999999999\n"


# -- sorting and hashing, against another way to do it
# ------------------------------------------------------------

ROWS = st.integers(1, 4).flatmap(
    lambda width: st.lists(
        st.lists(
            st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=4),
            min_size=width,
            max_size=width,
        ),
        max_size=8,
    )
)


def sorted_otherwise(rows, mode):
    """By insertion, one comparison of C strings at a time."""
    units = [[value] for row in rows for value in row] if mode == "valuesort" else [list(row) for row in rows]
    done = []
    for unit in units:
        at = len(done)
        while (
            mode != "nosort"
            and at
            and less([v.encode() + b"\0" for v in unit], [v.encode() + b"\0" for v in done[at - 1]])
        ):
            at -= 1
        done.insert(at, unit)
    return [value for unit in done for value in unit]


def less(one, other):
    for a, b in zip(one, other, strict=True):
        for x, y in zip(a, b, strict=False):
            if x != y:
                return x < y
    return False


@given(ROWS, st.sampled_from(["nosort", "rowsort", "valuesort"]))
def test_values_are_sorted_and_hashed_as_the_format_says(rows, mode):
    rows = [[value or "(empty)" for value in row] for row in rows]
    types = "T" * len(rows[0]) if rows else "T"
    wanted = sorted_otherwise(rows, mode)
    said = "".join("\x1f".join(row) + "\n" for row in rows)
    suite = replace(SUITE, separator="\x1f", null="\x1e")
    assert heard(query(types, sort=mode), said, suite=suite).output == "".join(
        f"{value}\n" for value in wanted
    )
    digest = hashlib.md5(b"".join(value.encode() + b"\n" for value in wanted)).hexdigest()
    hashed = query(types, f"{len(wanted)} values hashing to {digest}", sort=mode)
    assert judged(hashed, said, suite=suite) is None
    assert judged(replace(hashed, expect=hashed.expect.replace(digest, "0" * 32)), said, suite=suite) == (
        f"{len(wanted)} values hashing to {digest} instead of {'0' * 32}"
    )


def test_the_files_of_the_tests_are_hashed_with_md5sum():
    for one in kinds.load(("**",), [("hashes.slt", (FILES / "format/hashes.slt").read_bytes())], SUITE):
        expected = Expected.of(one.expect)
        if expected.hashed and one.input.startswith("SELECT a FROM t ORDER"):
            told = subprocess.run(
                ["md5sum"],
                input="".join(f"{n}\n" for n in range(1, 61)),
                capture_output=True,
                text=True,
                check=True,
            )
            assert expected.hashed == (60, told.stdout.split()[0])


# -- right or wrong
# -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "said", "error", "how"),
    [
        (case("statement ok"), "", "", None),
        (case("statement ok"), "5\n", "", None),
        (case("statement ok"), "", "Error: boom\n  here\n", "an error, where none is expected"),
        (case("statement error"), "", "Error: boom", None),
        (case("statement error"), "", "", "no error, where one is expected"),
        (case("statement error no (table|view)"), "", "Error: no view", None),
        (
            case("statement error no (table|view)"),
            "",
            "Error: no index",
            "another error than 'no (table|view)': 'Error: no index'",
        ),
        (case("statement error\n----\na (b"), "", "x a (b", None),
        (case("statement count 2"), "2\n", "", None),
        (case("statement count 2"), "3\n", "", "line 1: '3' instead of '2'"),
        (query("I", "1", "2"), "1\n2\n", "", None),
        (query("I", "1", "2"), "2\n1\n", "", "line 1: '2' instead of '1'"),
        (query("I", "2", "1", sort="rowsort"), "2\n1\n", "", None),
        (query("II", "1", "2", "3", "4", sort="valuesort"), "4|3\n2|1\n", "", None),
        (query("II", "1", "2", "3", "4", sort="rowsort"), "4|3\n2|1\n", "", "line 1: '2' instead of '1'"),
        (query("I"), "", "", None),
        (query("I"), "1\n", "", "line 1: '1' after the end of the expected output"),
        (query("I", "1"), "", "", "line 1: the output ends, '1' was expected"),
        (query("I", "1"), "", "Error: boom", "an error, where none is expected"),
        (query("T", "@@"), "é\n", "", None),
        (query("T", "é"), "é\n", "", None),
        (query("T", "é"), "è\n", "", "line 1: 'è' instead of 'é'"),
        (query("I", "3 values hashing to " + "0" * 32), "1\n2\n", "", "2 values instead of 3"),
        (
            query("T", "3 values hashing to " + "0" * 32),
            "3 values hashing to " + "0" * 32 + "\n",
            "",
            "1 values instead of 3",
        ),
    ],
)
def test_a_file_judges(one, said, error, how):
    assert judged(one, said, error) == how


@pytest.mark.parametrize(
    ("flags", "how"),
    [
        ({"timed_out": True}, "no end within the time of a case"),
        ({"stopped": "the engine ended", "timed_out": True}, "the engine ended"),
        ({"truncated": True}, "more output than allowed"),
        ({"lost": True}, "it ended the process that runs the cases"),
    ],
)
@pytest.mark.parametrize("expect", ["statement ok", "statement error", "query I"])
def test_an_engine_that_does_not_answer_is_wrong_whatever_is_expected(flags, how, expect):
    one = case(expect)
    answer = slt.answer(SUITE, one, Answer("half a li\udcff", 0, "oh", **flags))
    (said,) = slt.judge(SUITE)([Pair(one, answer, slt.expectations(SUITE, [one])[one.id])])
    assert said.startswith(how) and answer.output == "half a li@"


OK, ROWS_12, FAILS = Answer("", slt.OK), Answer("1\n2\n", slt.OK), Answer("", slt.ERROR, "theirs")


@pytest.mark.parametrize(
    ("one", "said", "error", "reference", "how"),
    [
        (query("I", "7"), "1\n2\n", "", ROWS_12, None),
        (query("I", "1", "2"), "1\n3\n", "", ROWS_12, "line 2: '3' instead of '2'"),
        (query("I", "2 values hashing to " + "0" * 32), "1\n2\n", "", ROWS_12, None),
        (query("I"), "", "boom", FAILS, None),
        (query("I"), "1\n", "", FAILS, "no error, where one is expected"),
        (query("I"), "1|2\n", "", FAILS, "no error, where one is expected"),
        (query("I"), "", "boom", ROWS_12, "an error, where none is expected"),
        (case("statement error theirs"), "", "mine", FAILS, None),
        (case("statement ok"), "", "mine", FAILS, None),
        (case("statement error"), "", "", OK, None),
        (query("I"), "apples\n", "", Answer("0\n", slt.OK), "line 1: 'apples' instead of '0'"),
        (query("T"), "é\n", "", Answer("è\n", slt.OK), "line 1: 'é' instead of 'è'"),
    ],
)
def test_a_reference_judges_in_the_place_of_the_file(one, said, error, reference, how):
    assert judged(one, said, error, REFERENCE_SUITE, reference) == how


def test_a_reference_that_does_not_fit_the_file_is_no_verdict():
    with pytest.raises(
        JudgeFailed,
        match=r"case 'x/00001' \(slt/x.slt:1\) does not fit the file: a row of 2 columns, where the record's types say 1",
    ):
        judged(query("I"), "1\n", suite=REFERENCE_SUITE, reference=heard(query("I"), "1|2\n"))


def test_a_reference_that_answers_a_label_in_two_ways_is_no_verdict():
    pairs = [
        Pair(query("I", label="l", line=line), ROWS_12, Answer(f"{line // 5}\n", slt.OK))
        for line in (1, 2, 5)
    ]
    assert slt.judge(REFERENCE_SUITE)(pairs[:2]) != [None, None]
    with pytest.raises(
        JudgeFailed, match=r"answers case 'x/00005' \(slt/x.slt:5\) otherwise than case 'x/00001'"
    ):
        slt.judge(REFERENCE_SUITE)(pairs)
    with pytest.raises(JudgeFailed) as failed:
        slt.judge(REFERENCE_SUITE)([replace(pair, case=replace(pair.case, hidden=True)) for pair in pairs])
    assert "slt/" not in str(failed.value)


def test_the_expected_answers_of_every_file_are_right():
    files = [
        (path.relative_to(FILES.parent).as_posix(), path.read_bytes())
        for path in sorted(FILES.rglob("*.slt"))
    ]
    found = kinds.load(("slt/**",), files, SUITE)
    assert len(files) >= 40 and len(found) >= 600
    written = slt.expectations(SUITE, found)
    decided = verdict.decide(found, written, written, judge=teeth.comparing(slt.judge(SUITE)))
    assert decided.status == "passed"


# -- whole files
# --------------------------------------------------------------------------------------------------


def files_of(**files):
    """Cases by file: `a=3` is a file a with three records."""
    return [
        Case(f"{name}/{line:05}", f"S{line}\n", f"{name}.slt", line, "statement ok")
        for name, count in files.items()
        for line in range(1, count + 1)
    ]


def test_sessions_are_files_in_the_order_of_their_lines():
    found = files_of(a=2, b=1)
    assert [[record.sql for record in session] for session in slt.sessions(SUITE, found[::-1])] == [
        ["S1\n;\n"],
        ["S1\n;\n", "S2\n;\n"],
    ]
    assert [record.sql for record in slt.sessions(JSON_SUITE, found[:1])[0]] == ["S1"]
    assert slt.sessions(SUITE, [case("statement count 1")])[0][0].counted


class Box:
    """Answers whole files, but dies at some records: then what comes later has no answer."""

    def __init__(self, *deadly):
        self.deadly, self.asked = deadly, []

    def __call__(self, asked):
        self.asked.append([one.id for one in asked])
        answers = {}
        for one in asked:
            if one.id in self.deadly:
                return answers
            answers[one.id] = Answer("", 0)
        return answers


def test_whoever_asks_for_one_record_gets_its_file():
    found, box = files_of(a=2, b=2), Box()
    assert set(slt.whole_files(box, found)([found[1]])) == {"a/00001", "a/00002"}
    assert box.asked == [["a/00001", "a/00002"]]


def test_a_record_that_ends_the_executor_is_told_apart_and_the_other_files_are_asked_again():
    found, box = files_of(a=2, b=3, c=2), Box("b/00002")
    answers = slt.whole_files(box, found)(found)
    assert {id for id, answer in answers.items() if answer.lost} == {"b/00002", "b/00003"} and len(
        answers
    ) == 7
    assert box.asked[1] == ["b/00001", "b/00002", "b/00003"] and box.asked[2] == ["c/00001", "c/00002"]


def test_where_every_file_ends_the_executor_not_all_of_them_are_tried():
    found = files_of(**{f"f{number:02}": 1 for number in range(30)})
    box = Box(*(one.id for one in found))
    answers = slt.whole_files(box, found)(found)
    assert all(answers[one.id].lost for one in found) and len(box.asked) <= 2 * slt.LOST_FILES_MAX + 1


# -- teeth
# --------------------------------------------------------------------------------------------------------

PLANTED = [engine for engine in slt_teeth.engines(SUITE) if isinstance(engine, teeth.WrongAnswers)]
SOUND = [
    case("statement ok", line=1),
    query("I", "1", "2", line=2),
    case("statement error", line=3),
    query("T", "4 values hashing to " + "a" * 32, line=4),
]


def planted(engine, found, suite=SUITE):
    right = slt.expectations(suite, found)
    return verdict.decide(found, engine.answers(found, right), right, judge=teeth.comparing(slt.judge(suite)))


def test_the_wrong_engines_of_the_design_are_planted_and_one_that_is_gone():
    assert [engine.name for engine in slt_teeth.engines(SUITE)] == [
        "gone",
        "silent",
        "constant",
        "echo",
        "last-answer-repeated",
        "one-in-fifty-wrong",
    ]


@pytest.mark.parametrize("engine", PLANTED, ids=lambda engine: engine.name)
def test_a_sound_file_notices_every_wrong_engine(engine):
    decided = planted(engine, SOUND)
    assert (decided.status, decided.counts.executed) == ("failed", 4)


def test_a_file_that_only_expects_success_notices_no_silent_engine():
    names = {
        engine.name
        for engine in PLANTED
        if planted(engine, [case("statement ok", line=line) for line in (1, 2, 3)]).status == "passed"
    }
    assert names == {"silent", "constant", "echo", "last-answer-repeated"}


@pytest.mark.parametrize("count", [1, 50, 51, 120])
def test_of_fifty_records_one_is_wrong_whatever_its_kind(count):
    found = [replace(SOUND[line % 4], id=f"x/{line:05}", line=line) for line in range(count)]
    decided = planted(PLANTED[-1], found)
    assert [id for id, outcome in decided.outcomes.items() if outcome == "fail"] == [
        f"x/{line:05}" for line in range(0, count, 50)
    ]


# -- shrinking
# ----------------------------------------------------------------------------------------------------


class Adding:
    """An engine that adds up what it was told; a wrong one forgets."""

    def __init__(self, forgets=""):
        self.forgets = forgets

    def __call__(self, asked):
        answers, total = {}, {}
        for one in asked:
            word, _, number = one.input.strip().partition(" ")
            if word == "ADD" and number != self.forgets:
                total[one.file] = total.get(one.file, 0) + int(number)
            answers[one.id] = slt.answer(REFERENCE_SUITE, one, Answer(f"{total.get(one.file, 0)}\n", 0))
        return answers


def test_a_failing_record_is_shown_with_only_the_records_that_it_needs():
    found = [case("statement ok", f"ADD {line}\n", line) for line in range(1, 9)] + [query("I", line=9)]
    failing = {"id": "x/00009", "candidate": {"exit": 0}}
    trials = shrink.trials_of(REFERENCE_SUITE, found)(
        found[-1], failing, Adding("5"), Adding(), slt.judge(REFERENCE_SUITE)
    )
    assert trials.least == 0 and [piece.line for piece in trials.pieces] == list(range(1, 9))
    assert trials.differ([[], found[:4], found[4:8], found[4:5]]) == [False, False, True, True]
    assert trials.smallest["id"] == "x/00009" and trials.smallest["input"] == "ADD 5;\nSELECT 1;\n"
    assert (trials.smallest["candidate"]["output"], trials.smallest["reference"]["output"]) == ("0\n", "5\n")


def test_where_a_file_judges_an_engine_that_dies_is_shown_with_what_it_dies_of():
    def dying(asked):
        fatal = {one.file for one in asked if one.input == "ADD 5\n"}
        return {
            one.id: Answer("", 0, stopped="the engine ended") if one.file in fatal else OK for one in asked
        }

    found = [case("statement ok", f"ADD {line}\n", line) for line in range(1, 9)] + [query("I", "36", line=9)]
    pair = Pair(found[-1], dying(found)["x/00009"], slt.expectations(SUITE, found)["x/00009"])
    trials = shrink.trials_of(SUITE, found)(
        found[-1], verdict.failure(pair, "the engine ended"), dying, dying, slt.judge(SUITE)
    )
    assert trials.differ([[], found[:4], found[4:5]]) == [False, False, True], (
        "a wrong answer is not the same as none"
    )
    assert (
        trials.smallest["input"] == "ADD 5;\nSELECT 1;\n" and trials.smallest["reference"]["output"] == "36\n"
    )


def test_without_a_reference_nothing_is_left_out():
    found = [query("I", "1")]
    assert (
        shrink.trials_of(SUITE, found)(found[0], {"id": found[0].id}, Adding(), Adding(), slt.judge(SUITE))
        is None
    )


def test_a_crash_needs_no_reference_to_be_shown_with_only_the_records_that_it_needs():
    def dying(asked):
        """Adds as it should, and dies at the first query after a 5."""
        files = {
            one.file: "ADD 5" in "".join(other.input for other in asked if other.file == one.file)
            for one in asked
        }
        plain = Adding()(asked)
        return {
            one.id: Answer("", 0, stopped="killed by signal 11")
            if files[one.file] and "SELECT" in one.input
            else plain[one.id]
            for one in asked
        }

    found = [case("statement ok", f"ADD {line}\n", line) for line in range(1, 9)] + [query("I", "7", line=9)]
    expected = {"output": "7\n", "exit": 0}
    failing = {
        "id": "x/00009",
        "candidate": {"exit": 0},
        "reference": expected,
        "difference": "killed by signal 11",
        "crashed": True,
    }
    trials = shrink.trials_of(SUITE, found)(found[-1], failing, dying, lambda cases: 1 / 0, slt.judge(SUITE))
    assert trials.differ([[], found[:4], found[4:8], found[4:5]]) == [False, False, True, True], (
        "a wrong answer is no crash"
    )
    assert (trials.smallest["input"], trials.smallest["reference"]) == ("ADD 5;\nSELECT 1;\n", expected)
