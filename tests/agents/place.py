"""A small project, the real `harness up` on it, and a scripted model as every vendor's upstream."""

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker import DockerClient

from harness.containers import Engine
from harness.images import Images
from harness.state import State
from tests.fake_models import Call, FakeModels, Script, Step
from tests.server import toy

ROOT = Path(__file__).parents[2]
UP_WITHIN_S = 420.0  # one agent's work takes seconds; a loaded machine takes minutes
STOP_WITHIN_S = 90.0
KINDS = ("claude", "codex", "gemini", "opencode", "qwen")
NOBODY = "[agents.worker]"  # toy's own agents: replaced
ACCOUNTS = {"anthropic": "", "openai": "/v1", "gemini": ""}
ACCOUNT = '\n[gateway.accounts.{name}]\napi = "{name}"\nbase_url = "{url}{path}"\n'
AGENT = '\n[agents.{kind}]\nkind = "{kind}"\ncount = {count}\nmodel = "{model}"\nsession_minutes = 6\n{more}\n'
MODELS = {"claude": "claude-fake", "codex": "fake-model", "gemini": "gemini-fake", "opencode": "fake-model", "qwen": "fake-model"}
# Each client's own tool for writing a file, where it has one.
WRITERS = {"claude": ("Write", "file_path"), "gemini": ("write_file", "file_path"), "opencode": ("write", "filePath"), "qwen": ("write_file", "file_path")}
FENCE = {"$int": r'fence\W+(\d+)'}
COMMITTED = {"$text": r"commit ([0-9a-f]{40})"}
COMMIT = "git add -A && git commit -qm {message} && git log -1 --format='commit %H'"


def writing(kind: str, file: str, text: str) -> Call:
    """The call that writes a file of the clone of repository `toy`."""
    if kind not in WRITERS:
        return Call(shell=f"printf '%s' '{text}' > {file}")
    tool, argument = WRITERS[kind]
    return Call(tool, {argument: f"/workspace/toy/{file}", "content": text})


def doing_t01(kind: str) -> tuple[Step, ...]:
    """Claims T01, writes it wrong, is told so by the oracle, mends it, and hands it in."""
    wrong, right = "FROM=a-z; TO=a-z\n", "FROM=a-z; TO=A-Z\n"
    return (
        Step("I take the task.", (Call("claim_task", {"task": "T01"}),)),
        Step("I write the filter.", (writing(kind, "shout/filter", wrong),)),
        Step("I commit it.", (Call(shell=COMMIT.format(message="filter")),)),
        Step("Is it right?", (Call("run_oracle", {"fence": FENCE, "commit": COMMITTED}),)),
        Step("It is not: I mend it.", (Call(shell=f"printf '%s' '{right}' > shout/filter && {COMMIT.format(message='mended')}"),)),
        Step("And now?", (Call("run_oracle", {"fence": FENCE, "commit": COMMITTED}),)),
        Step("It is right: I hand it in.", (Call("push", {"fence": FENCE, "commit": COMMITTED, "summary": "Shout in capitals"}),)),
    )


def one(steps: Sequence[Step], **more: Any) -> Script:
    return Script(tuple(steps), **more)


def config(url: str, agents: str, *, tasks: Sequence[str] = ("T01",), gateway: str = "", run: str = "") -> str:
    """toy's configuration with these agents. `run`: further lines of [run]."""
    accounts = "".join(ACCOUNT.format(name=name, url=url, path=path) for name, path in ACCOUNTS.items())
    head = toy.TOML.split(NOBODY)[0].replace("lease_minutes = 1\n", f"lease_minutes = 5\nport = 0\n{run}\n")
    return f"{head}{agents}\n[gateway]\n{gateway}\n{accounts}"


def agent(kind: str, *, count: int = 1, more: str = "") -> str:
    return AGENT.format(kind=kind, count=count, model=MODELS[kind], more=more)


@dataclass
class Place:
    """A project whose run may be started, watched and asked about."""

    project: Path
    models: FakeModels
    told: list[str] = field(default_factory=list)

    @property
    def state(self) -> State:
        return State(self.project / ".harness")

    def harness(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "harness", *words], cwd=self.project, env=environment(), capture_output=True, text=True,
            timeout=STOP_WITHIN_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def json(self, *words: str) -> Any:
        said = self.harness(*words, "--json")
        assert said.returncode == 0, said.stderr
        return json.loads(said.stdout)

    def events(self, kind: str) -> list[dict]:
        """The events of a kind, oldest first."""
        said = self.harness("audit", "query", "--kind", kind, "--limit", "1000", "--json")
        assert said.returncode == 0, said.stderr
        return [json.loads(line) for line in said.stdout.splitlines()]

    def up(self) -> str:
        """A whole run; what it told. Fails unless it ends by itself."""
        with self.running() as run:
            told, _ = run.communicate(timeout=UP_WITHIN_S)
        assert run.returncode == 0, told[-4000:] + self.log()[-4000:]
        return told

    @contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """A run that is ended in order, or by force, when it is left."""
        argv = [sys.executable, "-m", "harness", "up", "--plain", *words]
        run = subprocess.Popen(argv, cwd=self.project, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            yield run
        finally:
            if run.poll() is None:
                run.terminate()
                try:
                    run.communicate(timeout=STOP_WITHIN_S)
                except subprocess.TimeoutExpired:
                    run.kill()
                    run.communicate()

    def up_until(self, condition: Callable[[], Any]) -> Any:
        """A run that stays, so that no session is ended before it ends by itself; the condition's first true value."""
        with self.running("--stay") as run:

            def seen() -> Any:
                assert run.poll() is None, run.communicate()[0]
                return self.is_up() and condition()

            return wait_until(seen)

    def is_up(self) -> bool:
        found = self.state.run()
        return found is not None and found.running

    def log(self, name: str = "*") -> str:
        """What the sessions of the agents of that name have said."""
        files = sorted(self.state.root.glob(f"logs/{name}/*.log"), key=lambda file: (len(file.name), file.name))
        return "".join(file.read_text(errors="replace") for file in files)

    def looked_up(self, name: str = "*") -> set[str]:
        """The host names that the agents' programs asked for."""
        lines = [line for line in self.log(name).splitlines() if line.startswith('{"looked_up"')]
        return {json.loads(line)["looked_up"] for line in lines}

    def landed_files(self) -> str:
        return toy.git("ls-tree", "-r", "--name-only", "main", cwd=self.state.root / "repos" / "toy.git")


def environment() -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return {**clean, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "NO_COLOR": "1"}


@contextmanager
def place(root: Path, scripts: Script | Sequence[Script], agents: str, **more: Any) -> Iterator[Place]:
    with FakeModels(scripts) as models:
        project = toy.project(root / "project", config(models.url, agents, **more))
        only(project, more.get("tasks", ("T01",)))
        yield Place(project, models)


def only(project: Path, tasks: Sequence[str]) -> None:
    """Keeps only these of toy's tasks."""
    for file in (project / "tasks").glob("*.md"):
        if not any(f'id = "{task}"' in file.read_text() for task in tasks):
            file.unlink()
    toy.git("add", "-A", cwd=project)
    if toy.git("status", "--porcelain", cwd=project):
        toy.git("commit", "-qm", "tasks", cwd=project)


def wait_until(condition: Callable[[], Any], within_s: float = UP_WITHIN_S) -> Any:
    """The condition's first true value, bounded."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.1)
    return value


def watched_image(engine: Engine, kind: str) -> str:
    """The kind's image with a name server on the sandbox's loopback that writes down what the program looks up."""
    below = Images(engine).ensure(kind)
    name = f"localhost/harness-test/{kind}:{below.rpartition(':')[2]}"
    wrapper = f'#!/bin/sh\npython3 -I /opt/harness/sink.py || exit 70\nexec /opt/agent/node_modules/.bin/{kind} "$@"\n'
    files = {"Dockerfile": DOCKERFILE.format(below=below, kind=kind), "wrapper": wrapper, "sink.py": Path(__file__).with_name("sink.py").read_text()}
    client = DockerClient.from_env()
    try:
        client.images.build(fileobj=_tar(files), custom_context=True, tag=name, rm=True, network_mode="none")
    finally:
        client.close()
    return name


DOCKERFILE = """FROM {below}
USER 0:0
COPY sink.py /opt/harness/sink.py
RUN rm /usr/local/bin/{kind}
COPY wrapper /usr/local/bin/{kind}
USER 10001:10001
"""


def _tar(files: dict[str, str]) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o755
            tar.addfile(entry, io.BytesIO(text.encode()))
    out.seek(0)
    return out
