"""`harness oracle` and `harness tasks from-oracle` as a person types them, against a real server and a runner
without containers.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.run.server_process import ServerProcess
from harness.run.state import StateDirectory
from tests.server import toy

from .conftest import Verb, git, running_server

# Answers in capitals, but `mut` only every other time it is asked.
CANDIDATE = """read word
case "$word" in
    mut) echo x >> COUNT; [ $(($(wc -l < COUNT) % 2)) = 0 ] && echo MUT || echo mut ;;
    bad*) echo "in shout/loud.sh" >&2; echo oops ;;
    worse) echo "$word" ;;
    *) echo "$word" | tr a-z A-Z ;;
esac
"""
FLAKY = '\n[oracle.words.flaky]\n"word/good" = "2000-01-01"\n"word/gone" = "2999-01-01"\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "harness.toml": toy.TOML.replace(
            'reference = "tr a-z A-Z"', 'reference = "tr a-z A-Z"\nheld_out = ["../hidden/*.txt"]'
        )
        + FLAKY,
        "main.sh": CANDIDATE.replace("COUNT", str(tmp_path / "count")),
        "shout/loud.sh": "x\n",
        "count/README": "x\n",
        "tasks/1.md": toy.task("T01", "count"),
    }
    cases = {
        "word/good": "good",
        "word/mut": "mut",
        "word/bad1": "bad1",
        "word/bad2": "bad2",
        "count/worse": "worse",
    }
    files |= {f"oracle/cases/{name}.txt": f"{word}\n" for name, word in cases.items()}
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/secret.txt").write_text("-- case: a\nbaddest\n")
    return toy.repository(tmp_path / "project", files)


@contextmanager
def served(project: Path) -> Iterator[ServerProcess]:
    with running_server(project) as process:
        runner = toy.LocalRunner(process.url, StateDirectory(project / ".harness").token("runner") or "")
        try:
            yield process
        finally:
            runner.close()


def test_cases_that_differ_between_runs_are_listed_with_a_table_to_paste(
    harness: Verb, project: Path
) -> None:
    with served(project):
        said = harness("oracle", "run", "--repeat", "4")
        until = (datetime.now(UTC) + timedelta(days=14)).date().isoformat()
        assert said.returncode == 1, said.stderr
        assert "words: 4 runs, 1 cases differ between them\n  word/mut: no pass in 2 of 4\n" in said.stdout
        assert said.stdout.endswith(f'[oracle.words.flaky]\n"word/mut" = "{until}"\n')
        told = json.loads(harness("oracle", "run", "--repeat", "2", "--suite", "words", "--json").stdout)
        assert told == {
            "words": {
                "runs": 2,
                "broken": 0,
                "flaky": {"word/mut": 1},
                "until": {"word/mut": until},
                "files": {},
            }
        }


def test_people_see_which_held_out_file_fails(harness: Verb, project: Path) -> None:
    with served(project):
        said = harness("oracle", "run", "--json")
        verdict = json.loads(said.stdout)["words"]
        assert said.returncode == 1 and verdict["held_out"] == {"cases": 1, "passed": 0}
        assert [(case["file"], case["line"]) for case in verdict["held_out_failing"]] == [
            ("../hidden/secret.txt", 2)
        ]
        assert (
            "held out: 0 of 1 cases pass\n    ../hidden/secret.txt:2 fails" in harness("oracle", "run").stdout
        )
        status = harness("status").stdout
        assert (
            "of 1 held-out ones 0 pass, 1 flaky ones count for nothing, no longer flaky and counting again: word/good"
            in status
        )
        assert "warning: [oracle.words.flaky] names 'word/gone', and there is no such case" in status
        assert "../hidden/secret.txt:2" in harness("audit", "query", "--kind", "job_done", "--json").stdout


def test_failures_become_tasks_once_and_the_rest_is_said(harness: Verb, project: Path) -> None:
    with served(project):
        dry = harness("tasks", "from-oracle", "--dry-run")
        assert dry.returncode == 0 and "made (dry run) in shout: words, 2 cases: " in dry.stdout, dry.stderr
        made = json.loads(harness("tasks", "from-oracle", "--json").stdout)
        assert {(task["module"], task["cases"]) for task in made["made"]} >= {("shout", 2), ("count", 1)}
        assert "2 cases" in harness("tasks", "show", made["made"][0]["task"]).stdout
        again = harness("tasks", "from-oracle")
        assert "made" not in again.stdout and "have their tasks already" in again.stdout
        assert harness("tasks", "from-oracle", "--module", "nowhere").returncode == 1


@pytest.mark.containers  # `up` looks for the engine first
def test_no_verb_begins_on_cases_that_cannot_be_read(harness: Verb, project: Path) -> None:
    (project / "oracle/cases/word/latin.txt").write_bytes(b"one\ntwo \xe9\n")
    (project / "oracle/cases/word/none.txt").write_bytes(b"")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message=bad")
    (project.parent / "hidden/bad.txt").write_bytes(b"\xff\n")
    for words in (("oracle", "run"), ("oracle", "check"), ("up", "--plain")):
        said = harness(*words)
        assert said.returncode == 2, said.stderr
        assert [line.partition(" ")[0] for line in said.stderr.splitlines()] == [
            "oracle/cases/word/latin.txt:2:", "oracle/cases/word/none.txt:1:", "../hidden/bad.txt:1:", "3",
        ]  # fmt: skip
