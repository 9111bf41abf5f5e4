"""A toy project for server tests: `shout` and `count` modules, a differential suite, and a runner without
containers.

The runner stands in for harness.oracle_runner.runner, whose own tests use containers; it speaks the same HTTP
and the real oracle.
"""

import io
import os
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import httpx2

from oracle.cases.spec import Case, Suite
from oracle.judging import judge, run
from oracle.judging.answer import Answer
from oracle.suites.differential import Trial
from tests.waiting import BOUND_S

TOML = """
[run]
name = "toy"
lease_minutes = 1

[repos.toy]
path = "."
branch = "main"

[modules.shout]
repo = "toy"
paths = ["shout/**"]

[modules.count]
repo = "toy"
paths = ["count/**"]

[oracle.words]
kind = "differential"
repo = "toy"
cases = ["oracle/cases/**/*.txt"]
candidate = "sh main.sh"
reference = "tr a-z A-Z"
protect = ["oracle/**", "harness.toml", "tasks/**"]

[agents.worker]
kind = "command"
count = 2
command = ["true"]
"""

TASK = """+++
id = "{id}"
title = "{title}"
module = "{module}"
needs = {needs}
suite = "words"
cases = {cases}
priority = {priority}
+++
{title}.
"""

MAIN = """for part in shout count; do [ -f $part/filter ] && . ./$part/filter; done
tr "${FROM:-x}" "${TO:-x}"
"""


def files_below(root: Path) -> set[str]:
    """Every file below `root`, by its path from there; what a running git takes away meanwhile is not among
    them.
    """
    places = ((Path(place), names) for place, _, names in os.walk(root))
    return {str((place / name).relative_to(root)) for place, names in places for name in names}


def task(
    id: str,
    module: str,
    *,
    title: str = "",
    needs: Sequence[str] = (),
    cases: Sequence[str] = (),
    priority: int = 0,
) -> str:
    listed = {"needs": list(needs), "cases": list(cases)}
    return TASK.format(
        id=id,
        title=title or f"Task {id}",
        module=module,
        priority=priority,
        **{k: str(v).replace("'", '"') for k, v in listed.items()},
    )


def git(*args: str, cwd: Path, check: bool = True) -> str:
    done = subprocess.run(["git", *args], cwd=cwd, capture_output=True, text=True)
    if check and done.returncode:
        raise AssertionError(f"git {' '.join(args)}: {done.stderr}")
    return (done.stdout if check else done.stderr + done.stdout).strip()


def project(root: Path, toml: str = TOML) -> Path:
    """A git repository with a few cases: `x` cases pass from the start, `low` ones once FROM=a-z TO=A-Z is
    set.
    """
    files = {
        "harness.toml": toml,
        "main.sh": MAIN,
        "shout/README": "shout\n",
        "count/README": "count\n",
        "oracle/cases/up/one.txt": "ABC\n",
        "oracle/cases/up/two.txt": "123\n",
        "oracle/cases/low/one.txt": "abc\n",
        "oracle/cases/low/two.txt": "xyz\n",
        "tasks/1.md": task("T01", "shout", title="Shout", cases=["low/*"], priority=5),
        "tasks/2.md": task("T02", "count", title="Count", cases=["up/*"]),
        "tasks/3.md": task("T03", "shout", title="Shout more", needs=["T01"]),
        "tasks/4.md": task("T04", "shout", title="Shout again", priority=-1),
    }
    return repository(root, files)


def repository(root: Path, files: dict[str, str]) -> Path:
    """A git repository with these files in one commit."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git("init", "-q", "-b", "main", cwd=root)
    git("config", "user.name", "owner", cwd=root)
    git("config", "user.email", "owner@example.invalid", cwd=root)
    git("add", "-A", cwd=root)
    git("commit", "-qm", "start", cwd=root)
    return root


def local(command: str, cwd: Path) -> run.There:
    """Runs cases as processes of this machine."""

    def there(cases: Sequence[Case]) -> dict[str, Answer]:
        found = {}
        for case in cases:
            done = subprocess.run(
                ["sh", "-c", command], input=case.input, cwd=cwd, capture_output=True, text=True
            )
            found[case.id] = Answer(done.stdout, done.returncode, done.stderr)
        return found

    return there


class LocalRunner:
    """Serves jobs in a thread until closed. `broken` makes it answer that the box broke, for so many jobs of
    those that `breaks` is true of. While `hold` is cleared, and as long as `before` does not return, it keeps
    the job that it has claimed; `claimed` counts these.
    """

    def __init__(self, url: str, token: str, name: str = "local"):
        self._http = httpx2.Client(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=BOUND_S
        )
        self._name = name
        self.broken = 0
        self.breaks: Callable[[dict], bool] = lambda job: True
        self.before: Callable[[dict], None] = lambda job: None
        self.claimed = 0
        self.jobs: list[dict] = []
        self.hold = threading.Event()
        self.hold.set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self.hold.set()
        self._thread.join(10)

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                answer = self._http.post("/api/jobs/claim", json={"runner": self._name, "wait_s": 0.3})
            except httpx2.HTTPError:
                self._stop.wait(0.1)
                continue
            if answer.status_code == 200:
                self.claimed += 1
                self.hold.wait()
                self.before(answer.json())
                with suppress(
                    httpx2.HTTPError
                ):  # the server has gone: it will give the job to somebody again
                    self._run(answer.json())

    def _run(self, job: dict) -> None:
        self.jobs.append(job)
        if self.broken and self.breaks(job):
            self.broken -= 1
            verdict, reference = (
                {"status": "broken", "reason": "the box broke", "counts": {}, "outcomes": {}, "failures": []},
                {},
            )
        elif job["kind"] == "check":
            verdict, reference = (
                {
                    "status": "passed",
                    "reason": "",
                    "counts": {},
                    "outcomes": {},
                    "failures": [],
                    "planted": [{"engine": "silent", "caught": True, "status": "failed"}],
                },
                {},
            )
        else:
            verdict, reference = self._judge(job)
        result = {"runner": self._name, "verdict": verdict, "reference": reference}
        self._http.post(f"/api/jobs/{job['job']}/result", json=result)

    def _judge(self, job: dict) -> tuple[dict, dict]:
        suite = Suite.from_json(job["suite"])
        cases = [Case.from_json(case) for case in job["cases"]]
        known = {id: Answer.from_json(answer) for id, answer in job["known_reference"].items()}
        with tempfile.TemporaryDirectory() as scratch:
            tar = self._http.get(f"/api/jobs/{job['job']}/tree.tar").content
            tarfile.open(fileobj=io.BytesIO(tar)).extractall(scratch, filter="data")
            candidate = local(suite.candidate or "", Path(scratch))
            done = run.differential(
                cases,
                candidate=candidate,
                judge=judge.by_output(suite.compare),
                trials_of=Trial,
                reference=local(suite.reference or "", Path("/")),
                cached=known,
            )
        return done.verdict.to_json(), {id: answer.to_json() for id, answer in done.reference.items()}
