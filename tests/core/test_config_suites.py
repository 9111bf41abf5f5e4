"""Suites in harness.toml: held-out files, flaky cases and entries that name suites, each wrong one told at
its line.
"""

from pathlib import Path

import pytest

from mcp_server import config as configs
from mcp_server.config import Config

GOOD = """\
[run]
name = "minisql"

[repos.engine]

[modules.parser]
paths = ["minisql/parser/**"]

[oracle.sql]
kind = "differential"
cases = "oracle/cases/**/*.sql"
candidate = "python3 -m minisql"
reference = "sqlite3 :memory:"
"""
SLT = (
    GOOD
    + """
[oracle.slt]
kind = "differential"
cases = "slt/*.sql"
candidate = "c"
reference = "r"
HERE

[agents.claude]
"""
)
TASK = '+++\nid = "T1"\ntitle = "Lexer"\nmodule = "parser"\n+++\nWrite it.\n'


def line_of(text: str, needle: str) -> int:
    return next(n for n, line in enumerate(text.split("\n"), 1) if needle in line)


def suite(more: str) -> str:
    return SLT.replace("HERE", more)


def listed(text: str, tasks: dict | None = None) -> list:
    found = configs.parse(text, tasks or {})
    assert isinstance(found, list), "it was taken for good"
    return found


@pytest.mark.parametrize(
    ("more", "needle", "message", "suggestion"),
    [
        ('[oracle.slt.flaky]\n"a/1" = "2030-02-30"', '"a/1"', "'2030-02-30' is no date", "2030-01-31"),
        ('[oracle.slt.flaky]\n"a/1" = "2030-1-3"', '"a/1"', "is no date", ""),
        ('[oracle.slt.flaky]\n"a/1" = "20300131"', '"a/1"', "is no date", ""),
        ('[oracle.slt.flaky]\n"a/1" = 3', "[oracle.slt.flaky]", "a table of strings", ""),
        ('start = "fork"\nheld_out = ["../h/*.sql"]', "held_out", "could be read", 'start = "process"'),
        ('held_out = ["../h/"]', "held_out", "'../h/' names no files", "../held-out"),
        ('held_out = [""]', "held_out", "names no files", ""),
    ],
)
def test_a_mistake_in_a_suite_is_told_at_its_line(more: str, needle: str, message: str, suggestion: str):
    found = [problem for problem in listed(suite(more)) if message in problem.message]
    assert found and found[0].line == line_of(suite(more), needle) and suggestion in found[0].suggestion


def test_a_command_suite_holds_nothing_out():
    text = GOOD + '[oracle.unit]\nkind = "command"\ncommand = "make test"\nheld_out = ["../h/*.py"]\n'
    assert any("no case files to hold out" in problem.message for problem in listed(text))


def test_dates_may_stand_without_quotes_and_paths_outside_are_no_problem():
    config = configs.parse(
        suite('held_out = ["../h/**/*.sql"]\n[oracle.slt.flaky]\n"a/1" = 2030-01-31\n"b" = "2030-02-01"'), {}
    )
    assert isinstance(config, Config), config
    assert config.suites["slt"].flaky == {"a/1": "2030-01-31", "b": "2030-02-01"} and config.suites[
        "slt"
    ].held_out == ("../h/**/*.sql",)


def with_cases(*cases: str) -> dict[str, str]:
    return {"tasks/001.md": TASK.replace("+++\nW", f"cases = {list(cases)!r}\n+++\nW".replace("'", '"'))}


def test_cases_name_suites_before_a_colon():
    config = configs.parse(suite(""), with_cases("slt:select/*", "sql:*"))
    assert isinstance(config, Config), config
    assert config.tasks[0].cases == ("slt:select/*", "sql:*") and config.tasks[0].suite is None
    [problem] = listed(suite(""), with_cases("slt:select/*", "more/*"))
    assert "names cases but no suite" in problem.message and "sql:GLOB" in problem.suggestion
    [problem] = listed(suite(""), with_cases("slt:select/*", "slq:*"))
    assert (problem.file, problem.line, problem.message[:30]) == (
        "tasks/001.md",
        5,
        "there is no suite 'slq' (a sin",
    )
    assert "'sql'" in problem.suggestion or "'slt'" in problem.suggestion


def test_the_cases_of_a_module_name_suites_of_its_repository():
    module = '[modules.parser]\ncases = ["slt:select/*", "lexer/*"]'
    config = configs.parse(suite("").replace("[modules.parser]", module), {})
    assert isinstance(config, Config) and config.modules["parser"].cases == ("slt:select/*", "lexer/*")
    wrong = suite("").replace("[modules.parser]", module.replace("slt:", "other:"))
    [problem] = listed(wrong)
    assert problem.line == line_of(wrong, "cases = [") and "no suite 'other'" in problem.message
    two = suite('repo = "docs"').replace("[repos.engine]", "[repos.engine]\n[repos.docs]")
    two = two.replace("[modules.parser]", module + '\nrepo = "engine"').replace(
        'kind = "differential"\ncases = "oracle', 'repo = "engine"\nkind = "differential"\ncases = "oracle'
    )
    assert ["judges repository 'docs'" in problem.message for problem in listed(two)] == [True]


def test_held_out_files_must_have_a_place_where_agents_start(tmp_path: Path):
    (tmp_path / "project").mkdir()
    (tmp_path / "project/harness.toml").write_text(suite('held_out = [\n"../h/a/**/*.sql",\n"../h/*.sql"]'))
    config = configs.load(tmp_path / "project/harness.toml")
    assert isinstance(config, Config)
    (tmp_path / "h").mkdir()
    [problem] = configs.check_files(config)
    assert (
        problem.message == "there is no directory '../h/a/'"
        and problem.line == line_of(suite("held_out = ["), "held_out") + 1
    )
