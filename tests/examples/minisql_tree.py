"""The example minisql as these tests need it: its tasks, its cases, trees built from solutions, and runs of
both engines.
"""
import json
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "minisql"
PROJECT = EXAMPLE / "project"
SOLUTIONS = EXAMPLE / "solutions"
PLAYBOOKS = EXAMPLE / "playbooks"
CASE_TIMEOUT_S = 20
BATCH_TIMEOUT_S = 60  # all cases in one interpreter take well under a second

# All cases in one interpreter: the engine keeps no state between scripts, and a tree does not change while it
# runs.
BATCH = """
import json, sys
sys.path.insert(0, sys.argv[1])
from minisql import shell
answers = {}
for case, script in json.load(sys.stdin).items():
    try:
        printed, errors = shell.run(script)
        answers[case] = [printed, 1 if errors else 0]
    except Exception as error:
        answers[case] = ["", "crashed: %r" % error]
json.dump(answers, sys.stdout)
"""


@dataclass(frozen=True)
class Task:
    id: str
    title: str
    module: str
    needs: tuple[str, ...]
    cases: tuple[str, ...]
    suite: str
    paths: tuple[str, ...]
    priority: int
    brief: str


def config() -> dict:
    return tomllib.loads((PROJECT / "harness.toml").read_text())


def tasks() -> dict[str, Task]:
    found = [read_task(file) for file in sorted((PROJECT / "tasks").glob("*.md"))]
    return {task.id: task for task in found}


def read_task(file: Path) -> Task:
    _, matter, brief = file.read_text().split("+++\n", 2)
    fields = tomllib.loads(matter)
    module_paths = config()["modules"][fields["module"]]["paths"]
    return Task(
        id=fields.pop("id"), title=fields.pop("title"), module=fields.pop("module"), needs=tuple(fields.pop("needs", ())),
        cases=tuple(fields.pop("cases")), suite=fields.pop("suite"), paths=tuple(fields.pop("paths", module_paths)),
        priority=fields.pop("priority", 0), brief=brief.strip(), **fields,
    )


def cases() -> dict[str, str]:
    """{case id: script}, the id being the file below oracle/cases without its suffix, and the case's name."""
    root = PROJECT / "oracle" / "cases"
    found = {}
    for file in sorted(root.rglob("*.sql")):
        prefix = file.relative_to(root).with_suffix("").as_posix()
        for part in ("\n" + file.read_text()).split("\n-- case: ")[1:]:
            name, _, script = part.partition("\n")
            case = f"{prefix}/{name.strip()}"
            assert case not in found, f"{case} is there twice"
            found[case] = script.rstrip("\n") + "\n"
    return found


def named(task: Task, all_cases) -> set[str]:
    return {case for case in all_cases if any(fnmatchcase(case, glob) for glob in task.cases)}


def copy_project(to: Path) -> Path:
    shutil.copytree(PROJECT, to, ignore=shutil.ignore_patterns("__pycache__"))
    return to


def apply(tree: Path, material: str) -> None:
    """What the player's `apply` does: the material's files over the tree's."""
    shutil.copytree(SOLUTIONS / material, tree, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))


def files(material: str) -> list[str]:
    root = SOLUTIONS / material
    return sorted(
        file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file() and "__pycache__" not in file.parts
    )


def run_batch(tree: Path, scripts: dict[str, str]) -> dict[str, tuple]:
    """The engine's answer (output, exit) to every case, all in one interpreter."""
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", BATCH, str(tree)], input=json.dumps(scripts), capture_output=True, text=True,
        timeout=BATCH_TIMEOUT_S, check=True,
    )
    return {case: tuple(answer) for case, answer in json.loads(ended.stdout).items()}


def run_script(command: str, script: str, cwd: Path) -> tuple[str, int]:
    """The answer of a process of its own, as the oracle takes it."""
    ended = subprocess.run(
        shlex.split(command), input=script.encode(), capture_output=True, cwd=cwd, timeout=CASE_TIMEOUT_S,
    )
    return ended.stdout.decode("utf-8", "replace"), ended.returncode


def passing(tree: Path, scripts: dict[str, str], reference: dict[str, tuple]) -> set[str]:
    answers = run_batch(tree, scripts)
    return {case for case in scripts if answers[case] == reference[case]}
