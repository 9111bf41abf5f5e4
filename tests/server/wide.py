"""A wide toy project: many modules and a task in each, so that the tests of one file share a server and keep
apart.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import until

from . import toy
from .conftest import Agent, Server

MODULES = 40
WAIT_S = 1.5  # instead of 45: what a call that finds no end waits in these tests

MAIN = """for part in m*/filter; do [ -f "$part" ] && . "./$part"; done
tr "${FROM:-x}" "${TO:-x}"
"""


def module(number: int) -> str:
    return f"m{number:02}"


def toml() -> str:
    modules = "".join(
        f'\n[modules.{module(n)}]\nrepo = "toy"\npaths = ["{module(n)}/**"]\n' for n in range(MODULES)
    )
    head, _, tail = toy.TOML.partition("[modules.shout]")
    return head + modules + "\n[oracle.words]" + tail.partition("[oracle.words]")[2]


def project(root: Path, *, brief: str = "") -> Path:
    """Tasks M00, M01, ... name no cases but M00, which names `low/*`; X00 wants the paths of M00 too."""
    files = {"harness.toml": toml(), "main.sh": MAIN}
    for group, texts in {"up": ["ABC\n", "123\n"], "low": ["abc\n", "xyz\n"]}.items():
        files |= {f"oracle/cases/{group}/{number}.txt": text for number, text in enumerate(texts)}
    for number in range(MODULES):
        name = module(number)
        files[f"{name}/README"] = f"{name}\nsecond\nthird\n"
        cases = ["low/*"] if number == 0 else []
        files[f"tasks/{name}.md"] = toy.task(name.upper(), name, cases=cases, priority=-number) + brief
    files["tasks/x00.md"] = toy.task("X00", module(0), priority=-99)
    files["tasks/y00.md"] = toy.task("Y00", module(0), needs=["M00"], priority=-99)
    return toy.repository(root, files)


@contextmanager
def serving(root: Path, *, wait_s: float = WAIT_S, **more) -> Iterator[Server]:
    made = Server(project(root / "project", **more), root / "state", wait_s)
    try:
        yield made
    finally:
        made.stop()


@contextmanager
def running(server: Server) -> Iterator[toy.LocalRunner]:
    made = toy.LocalRunner(server.url, server.token("runner"))
    try:
        yield made
    finally:
        made.close()


def settled(agent: Agent, tool: str, **args) -> dict:
    """The answer once it is no longer `testing` or `running`, by repeating the call as an agent does."""

    def settled_answer() -> dict | None:
        answer = agent.call(tool, **args)
        return None if answer.get("status") in ("testing", "running") else answer

    return until(settled_answer, f"{tool} to settle")


def refused(answer: dict, code: str) -> dict:
    assert (answer.get("status"), answer.get("code"), answer["is_error"]) == ("refused", code, True), answer
    assert answer["happened"] and answer["holds"] and answer["next"]
    return answer
