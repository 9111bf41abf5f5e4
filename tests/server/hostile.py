"""A real server with one agent that pushes what no honest program makes, and what must not have changed
afterwards.
"""

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from mcp_server.repos.upkeep import UPKEEP_LOCK
from tests.waiting import BOUND_S, until

from . import packs, toy, wide
from .conftest import Agent, Server
from .packs import DIRECTORY, Object, Wire
from .wide import settled

TASK, MODULE = "M04", "m04"
Path_ = tuple[bytes, ...]
Files = Mapping[
    Path_, tuple[bytes, bytes | str]
]  # path below the module -> (mode, content, or the id of an object that is not sent)


@dataclass
class Stand:
    """One server for the tests of a file: `one` holds TASK, and its clock stands still, so that a busy
    machine costs no lease.
    """

    server: Server
    one: Agent
    fence: int
    wire: Wire
    clone: Path
    _turn: int = field(default=0)

    @property
    def bare(self) -> Path:
        return self.server.state / "repos" / "toy.git"

    def main(self) -> str:
        return self.git("rev-parse", "refs/heads/main")

    def git(self, *args: str) -> str:
        return toy.git(*args, cwd=self.bare)

    def ref(self) -> str:
        """A name of the agent's own that nobody has used yet."""
        self._turn += 1
        return f"refs/agents/one/t{self._turn}"

    def refs(self) -> dict[str, str]:
        out = self.git("for-each-ref", "--format=%(refname) %(objectname)")
        return dict(line.split(" ") for line in out.splitlines())

    def everything(self) -> tuple[dict[str, str], str, set[str]]:
        """All refs, what git counts of the objects, and every file of the repository."""
        return self.refs(), self.git("count-objects", "-v"), toy.files_below(self.bare)

    def entries(self, tree: str) -> list[tuple[bytes, bytes, str]]:
        """(mode, name, id) of a tree of the server's."""
        raw = subprocess.run(
            ["git", "cat-file", "tree", tree], cwd=self.bare, capture_output=True, check=True
        ).stdout
        found, at = [], 0
        while at < len(raw):
            space, nul = raw.index(b" ", at), raw.index(b"\0", at)
            found.append((raw[at:space], raw[space + 1 : nul], raw[nul + 1 : nul + 21].hex()))
            at = nul + 21
        return found

    def change(self, files: Files) -> tuple[Object, list[Object]]:
        """A commit on main that adds these files to the module, and all objects that the server lacks for it."""
        made: dict[str, Object] = {}
        held = {
            (name,): (mode, oid) for mode, name, oid in self.entries(self.git("rev-parse", f"main:{MODULE}"))
        }
        replaced = {path[:1] for path in files}
        below = _tree({path: file for path, file in held.items() if path not in replaced} | dict(files), made)
        return self.commit(self.root(below.oid, made), made)

    def root(self, module: str, made: dict[str, Object]) -> str:
        """Main's tree with another tree for the module."""
        above = self.entries(self.git("rev-parse", "main^{tree}"))
        root = packs.tree(
            packs.in_gits_order(
                (mode, name, module if name == MODULE.encode() else oid) for mode, name, oid in above
            )
        )
        made[root.oid] = root
        return root.oid

    def commit(self, tree: str, made: dict[str, Object], **more) -> tuple[Object, list[Object]]:
        commit = packs.commit(tree, [self.main()], **more)
        return commit, [*made.values(), commit]

    def push(self, fence: int | None = None, *, commit: str) -> dict:
        return settled(self.one, "push", fence=fence or self.fence, commit=commit, summary="x")

    def good_upload(self) -> None:
        """The next honest push is taken, as if nothing had been."""
        commit, objects = self.change({(b"good",): (packs.FILE, str(self._turn).encode())})
        ref = self.ref()
        answer = self.wire.push(ref, commit.oid, packs.pack(objects))
        assert packs.took(answer, ref) and self.refs()[ref] == commit.oid, answer

    def good_landing(self) -> None:
        """The next honest change lands. The task is open again afterwards, and its holder the same."""
        commit, objects = self.change({(b"landed",): (packs.FILE, str(self._turn).encode())})
        ref = self.ref()
        assert packs.took(self.wire.push(ref, commit.oid, packs.pack(objects)), ref)
        landed = self.push(commit=commit.oid)
        assert landed["status"] == "landed" and landed["main"] == self.main(), landed
        with self.server.http() as http:
            http.post(f"/api/tasks/{TASK}/reopen", json={"reason": "again"}).raise_for_status()
            assert http.get("/api/audit/verify").json()["problems"] == []
        self.fence = self.one.call("claim_task", task=TASK)["fence"]

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Whatever is done inside leaves the repository as it was, and its next user is served."""
        before = self.everything()
        yield
        until(
            lambda: self.everything() == before,
            lambda: f"everything to be as before; more: {self.everything()[2] - before[2]}",
        )
        self.good_upload()


@contextmanager
def standing(root: Path) -> Iterator[Stand]:
    began_ms = time.time_ns() // 1_000_000
    server = Server(wide.project(root / "project"), root / "state", wide.WAIT_S, lambda: began_ms)
    try:
        # As if somebody looked after the repository all the time: the server's own upkeep would change what
        # is compared.
        with (
            FileLock(server.state / "repos/toy.git" / UPKEEP_LOCK, timeout=BOUND_S),
            wide.running(server),
        ):
            one = server.agent("one")
            fence = one.call("claim_task", task=TASK)["fence"]
            yield Stand(server, one, fence, Wire(server.port, one.token), one.clone(root / "clone"))
    finally:
        server.stop()


def _tree(files: Mapping[Path_, tuple[bytes, bytes | str]], made: dict[str, Object]) -> Object:
    here: list[tuple[bytes, bytes, str]] = []
    below: dict[bytes, dict[Path_, tuple[bytes, bytes | str]]] = {}
    for path, (mode, content) in files.items():
        if len(path) > 1:
            below.setdefault(path[0], {})[path[1:]] = (mode, content)
        elif isinstance(content, bytes):
            blob = packs.blob(content)
            made[blob.oid] = blob
            here.append((mode, path[0], blob.oid))
        else:
            here.append((mode, path[0], content))
    here += [(DIRECTORY, name, _tree(inner, made).oid) for name, inner in below.items()]
    tree = packs.tree(packs.in_gits_order(here))
    made[tree.oid] = tree
    return tree


def nested(name: bytes, depth: int, leaf: str, made: dict[str, Object]) -> str:
    """The id of a tree with `depth` directories one in the other above a file; no recursion, for depths that
    have none.
    """
    tree = packs.tree([(packs.FILE, b"x", leaf)])
    made[tree.oid] = tree
    for _ in range(depth):
        tree = packs.tree([(DIRECTORY, name, tree.oid)])
        made[tree.oid] = tree
    return tree.oid


def wire_push(stand: Stand, files: Files) -> tuple[str, str, tuple[int, bytes]]:
    """Pushes a change: its ref, its commit and the answer."""
    commit, objects = stand.change(files)
    ref = stand.ref()
    return ref, commit.oid, stand.wire.push(ref, commit.oid, packs.pack(objects))
