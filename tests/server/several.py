"""A toy project with a suite for each module that reads that module alone, several runners, and the audit of
what landed.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mcp_server.repos import case_files

from . import toy, wide
from .conftest import Agent, Server

SUITE = """
[oracle.{name}]
kind = "differential"
repo = "toy"
cases = ["oracle/cases/{name}/*.txt"]
reads = ["{name}/**"]
candidate = "sh {name}/main.sh"
reference = "cat"
protect = ["oracle/**", "harness.toml", "tasks/**"]
"""


def disjoint(root: Path, modules: int, *, tip_check: bool = False) -> Path:
    """Modules m00, m01, ..., each with a task and with a suite of one case that reads that module alone."""
    names = [wide.module(n) for n in range(modules)]
    head, _, tail = toy.TOML.partition("[modules.shout]")
    agents = "[agents.worker]" + tail.partition("[agents.worker]")[2]
    head = head.replace("lease_minutes = 1\n", f"lease_minutes = 1\ntip_check = {str(tip_check).lower()}\n")
    toml = (
        head
        + "".join(
            f'\n[modules.{name}]\nrepo = "toy"\npaths = ["{name}/**"]\n{SUITE.format(name=name)}'
            for name in names
        )
        + agents
    )
    files = {"harness.toml": toml}
    for name in names:
        files |= {f"{name}/main.sh": "cat\n", f"oracle/cases/{name}/same.txt": "abc\n"}
        files[f"tasks/{name}.md"] = toy.task(name.upper(), name).replace('suite = "words"\n', "")
    return toy.repository(root, files)


@contextmanager
def runners(server: Server, count: int) -> Iterator[list[toy.LocalRunner]]:
    made = [toy.LocalRunner(server.url, server.token("runner"), f"local-{n}") for n in range(count)]
    try:
        yield made
    finally:
        for runner in made:
            runner.close()


def at_once(pushes: Sequence[tuple[Agent, int, str]]) -> list[dict]:
    """Every push in a thread of its own, until each is settled; answers in the order given."""
    answers: dict[int, dict] = {}

    def push(number: int, one: Agent, fence: int, commit: str) -> None:
        answers[number] = wide.settled(
            one, "push", fence=fence, commit=commit, summary=f"Change of {one.name}"
        )

    threads = [threading.Thread(target=push, args=(number, *args)) for number, args in enumerate(pushes)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return [answers[number] for number in range(len(pushes))]


def untested(server: Server) -> list[str]:
    """Of every commit that the gate put on main, each suite whose verdict does not cover what it read of
    exactly that tree.
    """
    assert server.world is not None
    world, found = server.world, []
    with server.http() as http:
        commits = [
            one for one in http.get("/api/commits").json()["commits"] if "Oracle-Verdict" in one["trailers"]
        ]
        for one in commits:
            jobs = dict(part.split("=") for part in one["trailers"]["Oracle-Verdict"].split())
            for name, suite in world.config.suites.items():
                told = http.get(f"/api/jobs/{jobs[name]}").json() if name in jobs else None
                main, repo = one["parents"][0], world.repos[suite.repo]
                if told is None or told["verdict"]["status"] == "broken" or told["suite"] != name:
                    found.append(f"{one['subject']}: {name} has no verdict")
                elif case_files.visible_key(repo, told["commit"], main, suite) != case_files.visible_key(
                    repo, one["tree"], main, suite
                ):
                    found.append(f"{one['subject']}: {name} was run on something else")
    return found
