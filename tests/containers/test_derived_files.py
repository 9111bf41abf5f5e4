"""A wrong source behind what was made of a right one: with real make and real bytecode, in real boxes, and on
the whole way of a push.
"""

import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.boxes import sandbox
from harness.boxes.containers import Engine
from harness.client import ServerClient
from harness.images.stock import Images
from harness.oracle_runner.runner import Runner
from oracle.cases.spec import Suite
from tests.server import toy
from tests.server.conftest import Server as HarnessServer
from tests.server.wide import refused, settled
from tests.waiting import BOUND_S, until

from .test_runner import Server

pytestmark = pytest.mark.containers

MEMORY_MB = 256
RIGHT, WRONG = "tr a-z A-Z\n", "tr a-z B-ZA\n"
MAKEFILE = "engine: engine.sh\n\tcp engine.sh engine\n"
ELF = b"\x7fELF\2\1\1" + bytes(57)
SHOUT = Suite(
    "shout",
    "differential",
    "toy",
    cases=("c/*",),
    build="make engine",
    candidate="sh engine",
    reference="tr a-z A-Z",
    packages=("make",),
    case_timeout_s=10.0,
    run_timeout_s=60.0,
)


def packed(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


@contextmanager
def runner_of(client: object, engine: Engine, run: str) -> Iterator[Runner]:
    made = Runner(
        client,  # type: ignore[arg-type]
        engine,
        Images(engine).image_for,
        "derived",
        labels={sandbox.RUN: run},
        slots=1,
        memory_mb=MEMORY_MB,
    )
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def judge(engine: Engine, run: str) -> Iterator[Callable[..., dict]]:
    server = Server()

    def judged(files: dict[str, bytes], suite: Suite = SHOUT, **more: object) -> dict:
        job = server.add({}, {"a": "abc\n"}, suite=suite, tree_key="", **more)
        server.trees[job.job] = packed(files)
        runner.serve(job, threading.Event())
        return server.results[job.job][0]

    with runner_of(server, engine, run) as runner:
        yield judged


def test_make_builds_again_what_came_compiled_and_tells_what_it_made(judge: Callable[..., dict]):
    tree = {"Makefile": MAKEFILE.encode(), "engine.sh": RIGHT.encode()}
    clean = judge(tree)
    assert (clean["status"], clean["build"]["made"]) == ("passed", ["engine"])
    assert judge(tree | {"engine": ELF})["status"] == "passed"
    assert judge(tree | {"engine": ELF, "engine.sh": WRONG.encode()})["status"] == "failed"


PYTEST = Suite(
    "unit",
    "command",
    "toy",
    command="python3 -m pytest -p no:cacheprovider -q --junitxml=out.xml",
    results="out.xml",
    canary="tests/test_{name}.py",
    packages=("python3-pytest",),
    run_timeout_s=60.0,
)
COMPILE = """
import importlib._bootstrap_external as external, pathlib, sys
code = compile("def add(a, b): return a + b", "app.py", "exec")
target = pathlib.Path("__pycache__", f"app.{sys.implementation.cache_tag}.pyc")
target.parent.mkdir()
target.write_bytes(external._code_to_hash_pyc(code, bytes(8), False))
"""


def test_bytecode_that_a_build_leaves_in_the_tree_is_not_run_instead_of_its_source(
    judge: Callable[..., dict],
):
    """An unchecked header fits whatever the source says."""
    tree = {
        "app.py": b"def add(a, b): return a - b\n",
        "make.py": COMPILE.encode(),
        "tests/test_app.py": b"from app import add\ndef test_adds(): assert add(1, 2) == 3\n",
        "conftest.py": b"",
    }
    built = Suite.from_json(PYTEST.to_json() | {"build": "python3 make.py"})
    verdict = judge(tree, built)
    assert (verdict["status"], verdict["outcomes"]) == ("failed", {"tests.test_app::test_adds": "fail"})
    assert verdict["build"]["made"][0].endswith(".pyc")


TOML = """
[run]
name = "toy"
lease_minutes = 10

[repos.toy]
path = "."
branch = "main"

[modules.shout]
repo = "toy"
paths = ["shout/**"]

[oracle.words]
kind = "differential"
cases = ["oracle/cases/**/*.txt"]
build = "make -C shout engine"
candidate = "sh shout/engine"
reference = "tr a-z A-Z"
packages = ["make"]
"""


def test_a_wrong_source_behind_a_committed_output_never_lands(engine: Engine, run: str, tmp_path: Path):
    """The whole way: main is measured, an agent builds, adds all that lies about, and pushes."""
    project = toy.repository(
        tmp_path / "project",
        {
            "harness.toml": TOML,
            "shout/Makefile": MAKEFILE,
            "shout/engine.sh": RIGHT,
            "oracle/cases/a.txt": "abc\n",
            "tasks/1.md": toy.task("T01", "shout").replace('suite = "words"\n', ""),
        },
    )
    server = HarnessServer(project, tmp_path / "state")
    stop = threading.Event()
    try:
        with (
            ServerClient(server.url, server.token("runner")) as client,
            runner_of(client, engine, run) as runner,
        ):
            thread = threading.Thread(target=runner.run, args=(stop,), daemon=True)
            thread.start()
            one = server.agent("one")
            until(lambda: one.call("claim_task", task="T01")["status"] == "leased")
            fence = one.call("claim_task", task="T01")["fence"]
            clone = one.clone(tmp_path / "clone")
            careless = one.commit(clone, {"shout/engine": RIGHT, "shout/engine.sh": WRONG})
            answer = refused(
                settled(one, "push", fence=fence, commit=careless, summary="x"), "protected_path"
            )
            assert "shout/engine (built)" in answer["happened"] and "git rm -r --cached" in answer["next"]
            (clone / "shout/engine").unlink()
            wrong = one.commit(clone, {})
            refused(settled(one, "push", fence=fence, commit=wrong, summary="x"), "regression")
    finally:
        stop.set()
        thread.join(BOUND_S)
        server.stop()
