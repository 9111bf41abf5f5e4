"""Bad configurations: every problem at once, at its line, with something to write instead."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.agents.kinds import NEEDS
from mcp_server import config as configs
from mcp_server.config import Config, ConfigProblem
from mcp_server.config.positions import scan

GOOD = """\
[run]
name = "minisql"
lease_minutes = 15

[repos.engine]

[modules.parser]
paths = ["minisql/parser/**"]

[modules.storage]
repo = "engine"
paths = [
    "minisql/storage/**",
    "minisql/store*.py",   # a comment with [ and "
]

[oracle.sql]
kind = "differential"
cases = "oracle/cases/**/*.sql"
candidate = "python3 -m minisql"
reference = "sqlite3 :memory:"

[agents.claude]
count = 2

[agents.player]
kind = "scripted"
playbook = "playbooks/{agent}.toml"
"""
TASK = '+++\nid = "T1"\ntitle = "Lexer"\nmodule = "parser"\n+++\nWrite it.\n'

YAML_TASK = "---\nid: T1\ntitle: Lexer\nmodule: parser\nneeds: []\n---\nWrite it.\n"


def task(text: str) -> dict[str, str]:
    return {"tasks/001.md": text}


def problems(text=GOOD, tasks=None) -> list[ConfigProblem]:
    found = configs.parse(text, tasks or {}, kinds=NEEDS)
    assert isinstance(found, list), "it was taken for good"
    return found


def only(text=GOOD, tasks=None) -> ConfigProblem:
    (problem,) = problems(text, tasks)
    return problem


def line_of(text: str, needle: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if needle in line)


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


def test_a_good_file_is_read_with_its_defaults():
    config = configs.parse(GOOD, task(TASK))
    assert isinstance(config, Config)
    assert config.run.session_minutes == 60.0 and config.run.lease_minutes == 15.0
    assert config.repos["engine"].branch == "main"
    assert config.modules["parser"].repo == "engine"
    assert config.suites["sql"].cases == ("oracle/cases/**/*.sql",)
    assert config.suites["sql"].protect == config.suites["sql"].cases
    assert config.agents["claude"].kind == "claude"
    assert config.agents["claude"].agents() == ("claude-1", "claude-2")
    (t1,) = config.tasks
    assert (t1.id, t1.repo, t1.paths, t1.suite, t1.brief) == (
        "T1",
        "engine",
        ("minisql/parser/**",),
        None,
        "Write it.",
    )
    assert (t1.file, t1.line) == ("tasks/001.md", 2)


def test_what_is_protected_may_be_said():
    config = configs.parse(changed("[agents.claude]", 'protect = ["oracle/**"]\n[agents.claude]'), {})
    assert config.suites["sql"].protect == ("oracle/**",)


@pytest.mark.parametrize(
    ("old", "new", "needle", "message", "suggestion"),
    [
        ("lease_minutes", "lease_minuts", "lease_minuts", "unknown key run.lease_minuts", "did you mean 'lease_minutes'?"),
        ("[agents.claude]", "[agent.claude]", "[agent.claude]", "unknown section agent", "did you mean 'agents'?"),
        ("lease_minutes = 15", 'lease_minutes = "15"', "lease_minutes", "must be a number", "without quotes: 15"),
        ("lease_minutes = 15", "lease_minutes = 0", "lease_minutes", "is 0", "above 0"),
        ("lease_minutes = 15", "lease_minutes = nan", "lease_minutes", "must be a number", ""),
        ("lease_minutes = 15", "tip_check = 'true'", "tip_check", "must be true or false", "write it without quotes: true"),
        ("lease_minutes = 15", "oracle_slots = true", "oracle_slots", "must be a whole number, not true", ""),
        ("lease_minutes = 15", "port = 70000", "port", "run.port is 70000", "1 to 65535"),
        ("lease_minutes = 15", 'tasks = "/tasks/*.md"', "tasks", "begins with '/'", ""),
        ('name = "minisql"', "name = 7", "name = 7", "must be a string", 'in quotes: "7"'),
        ('name = "minisql"', 'name = ""', 'name = ""', "run.name is empty", "give the run a name"),
        ('name = "minisql"\n', "", "[run]", "run has no name", "add name"),
        ('repo = "engine"', 'repo = "engin"', 'repo = "engin"', "there is no repository 'engin'", "'engine'"),
        ('"minisql/store*.py"', '"minisql//store"', "minisql//store", "empty segment", ""),
        ('"minisql/store*.py"', '"../x"', "../x", "segment '..'", ""),
        ('kind = "differential"', 'kind = "diferential"', "diferential", "'diferential'", ""),
        ('candidate = "python3 -m minisql"\n', "", "[oracle.sql]", "needs candidate", ""),
        ('reference = "sqlite3 :memory:"\n', "", "[oracle.sql]", "needs reference", ""),
        ('kind = "differential"', 'kind = "command"', "[oracle.sql]", "needs command", ""),
        ('candidate = "python3 -m minisql"', 'candidate = "p"\ncompare = "near"', "near", "compare is 'near'", ""),
        ('candidate = "python3 -m minisql"', 'candidate = "p"\nenv = { A = 1 }', "env", "a table of strings", ""),
        ('playbook = "playbooks/{agent}.toml"\n', "", "[agents.player]", "needs a playbook", "playbook ="),
        ('kind = "scripted"', 'kind = "command"', "[agents.player]", "needs a command", "command ="),
        ('kind = "scripted"', 'kind = "codx"', "codx", "'codx'", "did you mean 'codex'?"),
        ('kind = "scripted"\n', "", "[agents.player]", "agents.player has no kind", ""),
        ("count = 2", "count = 2000", "count", "is 2000", "0 to 1000"),
        ("count = 2", "memory_mb = -1", "memory_mb", "is -1", "above 0"),
        ("count = 2", "command = 5", "command", "a list of strings or a string", ""),
        ("count = 2", 'account = "anthropik"', "anthropik", "no account of the gateway 'anthropik'", "anthropic"),
        ("[repos.engine]", '[repos.engine]\nbranch = "a..b"', "a..b", "cannot be a branch", "main"),
        ("[modules.parser]", '[modules."par/ser"]', "par/ser", "cannot be a name", "letters"),
        ("[repos.engine]", "[repos]\nengine = 3", "engine = 3", "repos must hold tables", "[repos.NAME]"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_and_what_to_write(old, new, needle, message, suggestion):
    text = changed(old, new)
    found = [p for p in problems(text) if message in p.message]
    assert found, problems(text)
    assert found[0].line == line_of(text, needle)
    assert suggestion in found[0].suggestion


def test_without_the_kinds_that_can_be_started_any_name_is_one():
    """The server reads the file so: it starts no agent, and the harness judged the names before."""
    config = configs.parse(changed('kind = "scripted"', 'kind = "later"'), {})
    assert isinstance(config, Config), config
    assert [spec.kind for spec in config.agents.values()] == ["claude", "later"]


def test_an_account_is_a_vendors_or_one_of_the_gateways():
    for account in ("openai", "local"):
        config = configs.parse(
            changed("count = 2", f'account = "{account}"') + '\n[gateway.accounts.local]\napi = "openai"\n',
            {},
        )
        assert isinstance(config, configs.Config), config
        assert config.agents["claude"].account == account


def test_an_empty_file_lacks_everything():
    text = "\n".join(str(problem) for problem in problems(""))
    for missing in ("run has no name", "no repository", "no module", "no oracle"):
        assert missing in text


def test_every_problem_comes_at_once_in_the_order_of_lines():
    text = (
        changed('name = "minisql"', "name = 1")
        .replace("count = 2", "cout = 2")
        .replace("[repos.engine]", "[repo.engine]")
    )
    found = problems(text, task(TASK.replace("parser", "parsr")))
    assert len(found) >= 4
    assert [p.line for p in found if p.file == "harness.toml"] == sorted(
        p.line for p in found if p.file == "harness.toml"
    )
    assert found[-1].file == "tasks/001.md"


def test_a_wrong_module_does_not_make_its_tasks_wrong():
    text = changed('paths = ["minisql/parser/**"]', "paths = 3")
    assert only(text, task(TASK)).message.startswith("modules.parser.paths must be a list of strings")


def test_two_repositories_want_every_module_to_say_which():
    text = changed("[repos.engine]", "[repos.engine]\n[repos.docs]")
    assert {p.message for p in problems(text)} == {"modules.parser has no repo", "oracle.sql has no repo"}


@pytest.mark.parametrize(
    ("text", "line"),
    [("[run]\nname = x\n", 2), ("[run\n", 1), ('[run]\nname = "a"\nname = "b"\n', 3), ("[run]\nx = [1,", 2)],
)
def test_what_is_no_toml_is_told_with_its_line(text, line):
    problem = only(text)
    assert problem.line == line and problem.message.startswith("not TOML") and "(at" not in problem.message


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (TASK.replace('"parser"', '"parsr"'), 4, "there is no module 'parsr'"),
        (TASK.replace("+++\nW", 'needs = ["T9"]\n+++\nW'), 5, "there is no task 'T9'"),
        (TASK.replace("+++\nW", 'needs = ["T1"]\n+++\nW'), 5, "T1 -> T1"),
        (TASK.replace("+++\nW", 'suite = "sq"\n+++\nW'), 5, "there is no suite 'sq'"),
        (TASK.replace("+++\nW", 'repo = "other"\n+++\nW'), 5, "in repository 'other'"),
        (TASK.replace("+++\nW", 'paths = [\n "minisql/parser/x.py",\n "minisql/**",\n]\n+++\nW'), 7, "leaves the task's module"),
        (TASK.replace("+++\nW", 'paths = ["/x"]\n+++\nW'), 5, "begins with '/'"),
        (TASK.replace("+++\nW", "prioriti = 3\n+++\nW"), 5, "unknown key prioriti"),
        (TASK.replace("+++\nW", "priority = 1.5\n+++\nW"), 5, "must be a whole number"),
        (TASK.replace('"T1"', '"T 1"'), 2, "cannot be a task id"),
        (TASK.replace('id = "T1"\n', ""), 1, "there is no id"),
        (TASK.replace("Write it.\n", ""), 1, "no brief"),
        (TASK.replace("+++\nW", "W"), 1, "never closed"),
        (TASK.replace('"Lexer"', "Lexer"), 3, "not TOML"),
        ("Just a text.\n", 1, "no front matter"),
        ("", 1, "no front matter"),
        ("---\nid: T1\ntitle: a\nmodule: parser\nneeds:\n  - T1\n  - T9\n---\nb", 7, "there is no task 'T9'"),
        ("---\nid: 001\ntitle: a\nmodule: parser\n---\nb", 2, "id must be a string"),
        ("---\nid: T1\ntitle: [\nmodule: parser\n---\nb", 4, "not YAML"),
        ("---\nid: T1\nid: T2\ntitle: a\nmodule: parser\n---\nb", 3, "occurs twice"),
        ("---\n- a\n---\nb", 2, "no table"),
        ("---\n3: a\n---\nb", 2, "no table"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_task_is_told_with_its_line(text, line, message):
    found = [p for p in problems(tasks=task(text)) if message in p.message]
    assert [(p.file, p.line) for p in found] == [("tasks/001.md", line)], problems(tasks=task(text))


def test_a_broken_task_file_does_not_make_those_who_need_it_wrong():
    needy = TASK.replace("T1", "T2").replace("+++\nW", 'needs = ["T1"]\n+++\nW')
    assert only(tasks={"tasks/1.md": TASK.replace("+++\nW", "W"), "tasks/2.md": needy}).file == "tasks/1.md"


def test_yaml_and_toml_say_the_same():
    assert configs.parse(GOOD, task(YAML_TASK)).tasks == configs.parse(GOOD, task(TASK)).tasks


def test_line_ends_of_windows_change_nothing():
    crlf = configs.parse(GOOD.replace("\n", "\r\n"), task(TASK.replace("\n", "\r\n")))
    assert crlf == configs.parse(GOOD, task(TASK))
    assert only(changed("count = 2", "cout = 2").replace("\n", "\r\n")).line == line_of(GOOD, "count = 2")


def test_cases_belong_to_the_only_suite():
    with_cases = task(TASK.replace("+++\nW", 'cases = ["select/*"]\n+++\nW'))
    assert configs.parse(GOOD, with_cases).tasks[0].suite == "sql"
    two = GOOD + '[oracle.unit]\nkind = "command"\ncommand = "make test"\n'
    assert "names cases but no suite" in only(two, with_cases).message


def test_a_suite_of_another_repository_cannot_judge_a_task():
    text = changed("[repos.engine]", "[repos.engine]\n[repos.docs]").replace(
        "[modules.parser]", '[modules.parser]\nrepo = "engine"'
    )
    text = text.replace('kind = "differential"', 'kind = "differential"\nrepo = "docs"')
    assert (
        "judges repository 'docs'"
        in only(text, task(TASK.replace("+++\nW", 'suite = "sql"\n+++\nW'))).message
    )


def test_the_same_id_twice_names_the_other_file():
    problem = only(tasks={"tasks/1.md": TASK, "tasks/2.md": TASK})
    assert (problem.file, problem.line) == ("tasks/2.md", 2) and "tasks/1.md:2" in problem.message


def numbered(number: int, needs: list[int]) -> str:
    return TASK.replace("T1", f"T{number}").replace("+++\nW", f"needs = {[f'T{n}' for n in needs]}\n+++\nW")


def test_a_cycle_is_shown_once_with_the_way_round():
    tasks = {f"tasks/{n}.md": numbered(n, needs) for n, needs in {1: [2], 2: [3], 3: [1], 4: [1]}.items()}
    assert "T1 -> T2 -> T3 -> T1" in only(tasks=tasks).message


@given(st.dictionaries(st.integers(0, 7), st.lists(st.integers(0, 7), max_size=3), min_size=1, max_size=8))
def test_a_cycle_is_reported_exactly_when_there_is_one(graph):
    graph = {node: [n for n in needs if n in graph] for node, needs in graph.items()}
    left = dict(graph)
    while free := [n for n, needs in left.items() if not any(need in left for need in needs)]:
        left = {n: needs for n, needs in left.items() if n not in free}
    found = configs.parse(GOOD, {f"tasks/{n}.md": numbered(n, needs) for n, needs in graph.items()})
    assert isinstance(found, list) == bool(left)


def test_a_chain_of_thousands_is_no_trouble():
    tasks = {f"tasks/{n:05}.md": numbered(n, [n + 1] if n < 1_999 else []) for n in range(2_000)}
    assert len(configs.parse(GOOD, tasks).tasks) == 2_000


def spoilt(text: str):
    """The text with pieces of it cut out, doubled or replaced: what a careless hand does to a file."""
    piece = st.tuples(
        st.integers(0, len(text)),
        st.integers(0, 12),
        st.sampled_from(["", "\n", "[", '"', "= 3", "x", "---\n", "é"]),
    )
    return st.lists(piece, min_size=1, max_size=4).map(lambda pieces: _cut_up(text, pieces))


def _cut_up(text: str, pieces: list[tuple[int, int, str]]) -> str:
    for at, length, new in pieces:
        text = text[:at] + new + text[at + length :]
    return text


@given(spoilt(GOOD), st.one_of(spoilt(TASK), spoilt(YAML_TASK)))
def test_no_spoilt_file_is_a_crash_and_every_problem_has_a_line_in_it(text, task_text):
    found = configs.parse(text, task(task_text))
    for problem in found if isinstance(found, list) else []:
        lines = (text if problem.file == "harness.toml" else task_text).count("\n") + 1
        assert 1 <= problem.line <= lines and problem.message


def test_load_reads_the_task_files_that_run_names(tmp_path: Path):
    (tmp_path / "work").mkdir()
    (tmp_path / "harness.toml").write_text(changed("lease_minutes = 15", 'tasks = "work/*.md"'))
    (tmp_path / "work/a.md").write_text(TASK)
    (tmp_path / "work/b.txt").write_text("no task")
    config = configs.load(tmp_path / "harness.toml")
    assert config.root == tmp_path and [t.file for t in config.tasks] == ["work/a.md"]


def test_a_missing_or_unreadable_file_is_a_problem_not_a_crash(tmp_path: Path):
    (missing,) = configs.load(tmp_path / "harness.toml")
    assert "harness init" in missing.suggestion
    (tmp_path / "harness.toml").write_text(GOOD)
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/a.md").write_bytes(b"+++\n\xff\n+++\n")
    (broken,) = configs.load(tmp_path / "harness.toml")
    assert (broken.file, broken.line, broken.message) == ("tasks/a.md", 2, "the file is not UTF-8")


def test_files_that_are_named_must_exist_where_agents_start(tmp_path: Path):
    (tmp_path / "harness.toml").write_text(changed("[repos.engine]", '[repos.engine]\npath = "engine"'))
    config = configs.load(tmp_path / "harness.toml")
    found = configs.check_files(config)
    assert [(p.line, p.message) for p in found] == [
        (6, "there is no directory 'engine'"),
        (29, "there is no playbook 'playbooks/player-1.toml'"),
    ]
    (tmp_path / "engine").mkdir()
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks/player-1.toml").write_text("")
    assert configs.check_files(config) == []


def test_positions_see_through_every_form_of_toml():
    text = '''\
# [not.a.table]
a.b = 1
"c d".'e' = """
[x]
y = 1 \\""" """"
f = [ # ]
  "g[", 'h]',
]
[[i]]
j = \'\'\'
k = 2\'\'\'
[ l . "m.n" ]
o = { p = [1,
2] }
'''
    spans = scan(text).spans
    assert {keys: span for keys, span in spans.items() if len(keys) > 1 or keys in (("f",), ("i",))} == {
        ("a", "b"): (2, 2), ("c d", "e"): (3, 5), ("f",): (6, 8), ("i",): (9, 9), ("i", "j"): (10, 11),
        ("l", "m.n"): (12, 12), ("l", "m.n", "o"): (13, 14),
    }  # fmt: skip
    assert scan(text).line(("f",), "h]") == 7
    assert scan(text).line(("l", "m.n", "nothing", "here")) == 12
