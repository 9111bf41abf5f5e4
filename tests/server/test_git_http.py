"""Git's own client against the real route in a real server: what it may fetch and push, and what it is told
when not.
"""

import asyncio
import gzip
import http.client
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette

from mcp_server.core.principal import Principal
from mcp_server.edge.git_http import receive as git_push
from mcp_server.edge.git_http import routes as git_http
from mcp_server.repos import process, settings
from mcp_server.repos.repository import Repository
from tests.waiting import BOUND_S, until

from . import toy

ZERO, ONE = "0" * 40, "1" * 40
CUT_OFF = 0  # instead of a status: the answer had no end
CLEAN = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
CLEAN |= {
    f"GIT_{who}_{what}": "user@example.invalid"
    for who in ("AUTHOR", "COMMITTER")
    for what in ("NAME", "EMAIL")
}


@dataclass
class Served:
    """A running server and what it told of each access. The token is `name:role`."""

    port: int
    repo: Repository
    accesses: list[tuple] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/git/engine.git"

    def post(
        self, service: str, body: bytes, who: str = "claude-1:agent", headers: dict | None = None
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=BOUND_S)
        connection.request(
            "POST", f"/git/engine.git/{service}", body, {"Authorization": f"Bearer {who}"} | (headers or {})
        )
        answer = connection.getresponse()
        try:
            return answer.status, answer.read()
        except http.client.IncompleteRead as cut:
            return CUT_OFF, cut.partial
        finally:
            connection.close()

    def get(self, path: str, who: str = "claude-1:agent") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=BOUND_S)
        connection.request("GET", path, headers={"Authorization": f"Bearer {who}"})
        answer = connection.getresponse()
        return answer.status, answer.read()


def run(
    where: Path, *argv: str, who: str = "claude-1:agent", stdin: bytes = b""
) -> subprocess.CompletedProcess[str]:
    """The agent's git."""
    command = ["git", "-C", str(where), "-c", f"http.extraHeader=Authorization: Bearer {who}", *argv]
    done = subprocess.run(command, input=stdin, capture_output=True, env=CLEAN, timeout=BOUND_S)
    return subprocess.CompletedProcess(argv, done.returncode, done.stdout.decode(), done.stderr.decode())


def sh(where: Path, *argv: str, stdin: bytes = b"", who: str = "claude-1:agent") -> str:
    done = run(where, *argv, stdin=stdin, who=who)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def commit(where: Path, text: str) -> str:
    (where / "file").write_text(text)
    sh(where, "add", "-A")
    sh(where, "commit", "-q", "-m", text[:20])
    return sh(where, "rev-parse", "HEAD")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    user = tmp_path / "user"
    user.mkdir()
    sh(user, "init", "-q", "-b", "main")
    commit(user, "first")
    repo = Repository.create(tmp_path / "repos" / "engine.git")
    repo.exchange.import_branch(user, "main")
    accesses: list[tuple] = []

    def on_access(who, name, service, updates, status):
        accesses.append((who.name, name, service, updates, status))

    app = Starlette(routes=[git_http.route({"engine": repo}, on_access)])

    async def with_principal(scope, receive, send):
        if scope["type"] == "http":
            token = dict(scope["headers"]).get(b"authorization", b"").decode().removeprefix("Bearer ")
            if token:
                scope["principal"] = Principal(*token.split(":"))
        await app(scope, receive, send)

    server = uvicorn.Server(
        uvicorn.Config(with_principal, port=0, log_level="warning", timeout_graceful_shutdown=2)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    yield Served(server.servers[0].sockets[0].getsockname()[1], repo, accesses)
    server.should_exit = True
    thread.join(BOUND_S)
    assert not thread.is_alive()


@pytest.fixture
def clone(served: Served, tmp_path: Path) -> Path:
    sh(tmp_path, "clone", "-q", served.url, "clone")
    served.accesses.clear()
    return tmp_path / "clone"


def stored(repo: Repository) -> set[str]:
    """Every file of the repository: refs, packs, loose objects, leftovers."""
    return toy.files_below(repo.path)


def everything(repo: Repository) -> tuple[dict[str, str], set[str]]:
    return repo.refs.tips("refs/"), stored(repo)


def packet(line: bytes) -> bytes:
    return b"%04x" % (len(line) + 4) + line


# -- what works


@pytest.mark.parametrize("version", ["0", "2"])
def test_an_agent_clones_and_fetches_in_both_protocols(served: Served, tmp_path: Path, version: str):
    sh(tmp_path, "-c", f"protocol.version={version}", "clone", "-q", served.url, "clone")
    clone = tmp_path / "clone"
    assert sh(clone, "rev-parse", "HEAD") == served.repo.refs.branch_tip("main")
    assert served.accesses == [("claude-1", "engine", "git-upload-pack", [], "ok")]
    landed = served.repo.commits.create(
        served.repo.objects.tree_of(served.repo.refs.branch_tip("main")),
        [served.repo.refs.branch_tip("main")],
        "l",
        "a-1",
        1,
    )
    served.repo.refs.put("refs/heads/main", landed)
    served.repo.refs.put("refs/salvage/S1", landed)
    sh(clone, "-c", f"protocol.version={version}", "fetch", "-q", "origin", "refs/salvage/S1", "main")
    assert sh(clone, "rev-parse", "FETCH_HEAD") == landed


def test_refs_that_are_the_servers_own_business_are_not_shown(served: Served, clone: Path):
    head = served.repo.refs.branch_tip("main")
    for ref in ("refs/landed/1", "refs/agents/codex-1/w", "refs/salvage/S1"):
        served.repo.refs.put(ref, head)
    shown = {line.split("\t")[1] for line in sh(clone, "ls-remote", "origin").splitlines()}
    assert shown == {"HEAD", "refs/heads/main", "refs/agents/codex-1/w", "refs/salvage/S1"}


def test_a_push_below_ones_own_name_is_recorded_before_it_returns(served: Served, clone: Path):
    head = commit(clone, "mine")
    sh(clone, "push", "-q", "origin", "HEAD:refs/agents/claude-1/S1", "HEAD:refs/agents/claude-1/deep/er")
    made = [(f"refs/agents/claude-1/{name}", ZERO, head) for name in ("S1", "deep/er")]
    assert [(*access[:3], sorted(access[3]), access[4]) for access in served.accesses] == [
        ("claude-1", "engine", "git-receive-pack", sorted(made), "ok")
    ]
    assert served.repo.commits.agent_has("claude-1", head)
    reflog = (served.repo.path / "logs/refs/agents/claude-1/S1").read_text()
    assert "claude-1 <claude-1@harness.invalid>" in reflog


def test_an_agent_may_rewrite_its_own_refs_and_the_old_commit_stays(served: Served, clone: Path):
    first = commit(clone, "one")
    sh(clone, "push", "-q", "origin", "HEAD:refs/agents/claude-1/w")
    sh(clone, "reset", "-q", "--hard", "HEAD~1")
    second = commit(clone, "two")
    sh(clone, "push", "-q", "--force", "origin", "HEAD:refs/agents/claude-1/w")
    assert served.accesses[-1][3] == [("refs/agents/claude-1/w", first, second)]
    assert served.repo.commits.resolve(first) == first


def test_a_first_push_uploads_its_own_commits_and_not_mains_history(
    served: Served, clone: Path, tmp_path: Path
):
    history = tmp_path / "user"
    (history / "big").write_bytes(os.urandom(3_000_000))
    commit(history, "big")
    served.repo.exchange.import_branch(history, "main")
    sh(clone, "pull", "-q")
    before = sum((served.repo.path / name).stat().st_size for name in stored(served.repo))
    commit(clone, "small")
    sh(clone, "push", "-q", "origin", "HEAD:refs/agents/claude-1/w")
    assert sum((served.repo.path / name).stat().st_size for name in stored(served.repo)) - before < 100_000


def test_a_push_larger_than_gits_buffer_comes_through(served: Served, clone: Path):
    """git then probes with an empty push first, and sends in chunks."""
    (clone / "large").write_bytes(os.urandom(3_000_000))
    head = commit(clone, "large")
    sh(clone, "push", "-q", "origin", "HEAD:refs/agents/claude-1/w")
    assert [(access[2], access[4]) for access in served.accesses] == [("git-receive-pack", "ok")]
    assert served.repo.commits.agent_has("claude-1", head)


def test_a_fetch_with_many_haves_comes_gzipped_and_works(served: Served, clone: Path, tmp_path: Path):
    for number in range(60):
        commit(clone, f"mine {number}")
    commit(tmp_path / "user", "theirs")
    served.repo.exchange.import_branch(tmp_path / "user", "main")
    sh(clone, "fetch", "-q", "origin")
    assert sh(clone, "rev-parse", "origin/main") == served.repo.refs.branch_tip("main")
    asked = packet(b"command=ls-refs\n") + b"0000"
    plain = served.post("git-upload-pack", asked, headers={"Git-Protocol": "version=2"})
    packed = served.post(
        "git-upload-pack",
        gzip.compress(asked),
        headers={"Git-Protocol": "version=2", "Content-Encoding": "gzip"},
    )
    assert plain == packed and plain[0] == 200 and b"refs/heads/main" in plain[1]


def test_agents_push_at_the_same_time(served: Served, tmp_path: Path):
    agents = ("claude-1", "codex-1", "gemini-1", "qwen-1")

    def work(agent: str) -> str:
        who = f"{agent}:agent"
        sh(tmp_path, "clone", "-q", served.url, agent, who=who)
        for number in range(3):
            head = commit(tmp_path / agent, f"{agent} {number}")
            sh(tmp_path / agent, "push", "-q", "origin", f"HEAD:refs/agents/{agent}/w", who=who)
        return head

    with ThreadPoolExecutor(len(agents)) as pool:
        heads = dict(zip(agents, pool.map(work, agents), strict=True))
    assert served.repo.refs.tips("refs/agents/") == {
        f"refs/agents/{agent}/w": head for agent, head in heads.items()
    }
    assert [access[4] for access in served.accesses] == ["ok"] * 4 * len(agents)


# -- what is refused

REFUSED = [
    "HEAD:refs/heads/main",
    "+HEAD:refs/heads/main",
    ":refs/heads/main",
    "HEAD:refs/heads/new",
    "HEAD:refs/tags/v1",
    "HEAD:refs/agents/claude-10/w",
    "HEAD:refs/agents/codex-1/w",
    ":refs/agents/codex-1/kept",
    "HEAD:refs/agents/claude-1",
    "HEAD:refs/salvage/S1",
    "HEAD:refs/landed/1",
    "HEAD:refs/notes/n",
    "HEAD:refs/replace/x",
    ":refs/agents/claude-1/kept",
]


@pytest.mark.parametrize("refspec", REFUSED)
def test_every_other_push_is_refused_in_words_and_leaves_nothing(served: Served, clone: Path, refspec: str):
    for ref in ("refs/agents/codex-1/kept", "refs/agents/claude-1/kept"):
        served.repo.refs.put(ref, served.repo.refs.branch_tip("main"))
    before = everything(served.repo)
    commit(clone, "mine")
    done = run(clone, "push", "origin", refspec)
    assert done.returncode != 0
    assert "[remote rejected]" in done.stderr
    assert "only refs/agents/claude-1/* can be pushed" in done.stderr or "cannot be deleted" in done.stderr
    assert "remote: harness: nothing was pushed. main is moved by the MCP tool `push` alone" in done.stderr
    assert everything(served.repo) == before
    assert [(access[2], access[3], access[4]) for access in served.accesses] == [
        ("git-receive-pack", [], "refused")
    ]


def test_one_foreign_ref_refuses_the_whole_push(served: Served, clone: Path):
    before = everything(served.repo)
    commit(clone, "mine")
    done = run(clone, "push", "origin", "HEAD:refs/agents/claude-1/w", "HEAD:refs/heads/main")
    assert done.returncode != 0 and "refused with the others" in done.stderr
    assert everything(served.repo) == before


@pytest.mark.parametrize(
    "ref", ["refs/agents/claude-1/../codex-1/w", "refs/agents/claude-1/a..b", "refs/agents/claude-1/x.lock"]
)
def test_a_ref_that_is_no_ref_is_refused_by_git(served: Served, ref: str):
    before = everything(served.repo)
    head = served.repo.refs.branch_tip("main")
    line = f"{ZERO} {head} {ref}".encode() + b"\0 report-status"
    status, answer = served.post("git-receive-pack", packet(line) + b"0000" + empty_pack())
    assert status == 200 and b"ng " + ref.encode() in answer
    assert everything(served.repo) == before
    assert served.accesses[-1][3:] == ([], "refused")


def empty_pack() -> bytes:
    return bytes.fromhex("5041434b0000000200000000029d08823bd8a8eab510ad6ac75c823cfd3ed31e")


def test_git_itself_refuses_what_the_first_guard_would_have_let_through(served: Served):
    """The second guard alone: the environment of a push, straight to git's backend, with main in the list."""
    head = served.repo.refs.branch_tip("main")
    argv, env = settings.http_backend(
        served.repo.path,
        "git-receive-pack",
        {
            "REQUEST_METHOD": "POST",
            "CONTENT_TYPE": "application/x-git-receive-pack-request",
            "REMOTE_USER": "claude-1",
        },
        git_http.hidden("claude-1", "POST"),
    )

    def push(ref: str) -> bytes:
        body = packet(f"{ZERO} {head} {ref}".encode() + b"\0 report-status") + b"0000" + empty_pack()
        return subprocess.run(
            [process.program(), *argv], input=body, capture_output=True, env=env, timeout=30
        ).stdout

    for ref in ("refs/heads/other", "refs/agents/claude-10/w", "refs/tags/t"):
        assert f"ng {ref} deny updating a hidden ref".encode() in push(ref)
    assert b"ok refs/agents/claude-1/w" in push("refs/agents/claude-1/w")
    assert set(served.repo.refs.tips("refs/")) == {
        "refs/heads/main",
        "refs/import/main",
        "refs/agents/claude-1/w",
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"00",
        b"zzzz",
        b"0001",
        packet(b"garbage"),
        packet(f"{ZERO} {ONE} refs/agents/claude-1/w".encode()),  # no end of the list
        packet(f"{ZERO} {ONE} refs/agents/claude-1/w\0 report-status".encode())
        + packet(f"{ZERO} {ONE} refs/heads/main\0x".encode())
        + b"0000",
        packet(b"push-cert\0 report-status") + b"0000",
        b"".join(packet(f"{ZERO} {ONE} refs/agents/claude-1/{i}".encode()) for i in range(65)) + b"0000",
        packet(f"{ZERO} {ONE} refs/agents/claude-1/".encode() + b"\xff") + b"0000",
        packet(f"{ZERO} {ONE} refs/agents/claude-1/{'x' * 600}".encode()) + b"0000",
    ],
)
def test_what_no_honest_git_sends_is_a_bad_request(served: Served, body: bytes):
    before = everything(served.repo)
    assert served.post("git-receive-pack", body)[0] == 400
    assert everything(served.repo) == before


def test_a_client_that_wants_no_report_still_hears_no(served: Served):
    head = served.repo.refs.branch_tip("main")
    status, words = served.post(
        "git-receive-pack", packet(f"{head} {ZERO} refs/heads/main".encode()) + b"0000"
    )
    assert status == 403 and b"only refs/agents/claude-1/* can be pushed" in words
    assert served.repo.refs.branch_tip("main") == head


def test_hostile_objects_are_refused_and_leave_nothing(served: Served, clone: Path):
    blob = sh(clone, "hash-object", "-w", "--stdin", stdin=b"x")
    raw = b"100644 .git\0" + bytes.fromhex(blob)
    bad = sh(clone, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=raw)
    hostile = sh(clone, "commit-tree", bad, "-p", "HEAD", "-m", "hostile")
    before = everything(served.repo)
    done = run(clone, "push", "origin", f"{hostile}:refs/agents/claude-1/w")
    assert done.returncode != 0 and "hasDotgit" in done.stderr
    assert everything(served.repo) == before
    assert served.accesses[-1][3:] == ([], "refused")


def test_a_push_over_the_limit_is_refused_and_leaves_nothing(served: Served, clone: Path):
    sh(served.repo.path, "config", "receive.maxInputSize", "1m")
    (clone / "large").write_bytes(os.urandom(2_000_000))
    commit(clone, "large")
    before = everything(served.repo)
    done = run(clone, "push", "origin", "HEAD:refs/agents/claude-1/w")
    assert done.returncode != 0 and "exceeds maximum allowed size" in done.stderr
    assert everything(served.repo) == before


def test_a_body_that_goes_on_and_on_is_cut_off(served: Served):
    before = everything(served.repo)
    head = packet(f"{ZERO} {ONE} refs/agents/claude-1/w\0 report-status".encode()) + b"0000"
    bomb = gzip.compress(head + b"\0" * (git_http.PUSH_BYTES_MAX + 1), compresslevel=1)
    assert len(bomb) < 1_000_000
    assert served.post("git-receive-pack", bomb, headers={"Content-Encoding": "gzip"})[0] in (CUT_OFF, 413)
    assert served.post("git-upload-pack", b"x" * (git_http.FETCH_BYTES_MAX + 1))[0] in (CUT_OFF, 413)
    assert everything(served.repo) == before
    assert [access[3:] for access in served.accesses][0] == ([], "error")
    until(lambda: git_processes(served.repo) == [])


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("gzip", b"no gzip", 400),
        ("gzip", gzip.compress(b"0fff" + b"x" * 99, mtime=0)[:-9], 400),
        ("br", b"", 415),
    ],
    ids=["no gzip", "cut off", "unknown"],
)
def test_a_body_that_cannot_be_unpacked_is_said_so(served: Served, encoding: str, body: bytes, status: int):
    assert served.post("git-receive-pack", body, headers={"Content-Encoding": encoding})[0] == status


def git_processes(repo: Repository) -> list[str]:
    """Processes whose environment names the repository."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"PATH_TRANSLATED={repo.path}".encode() in (path / "environ").read_bytes():
                found.append((path / "cmdline").read_bytes().decode())
        except OSError:  # it has just ended
            continue
    return found


def test_a_client_that_leaves_in_the_middle_of_a_push_leaves_nothing(served: Served):
    before = everything(served.repo)
    head = packet(f"{ZERO} {ONE} refs/agents/claude-1/w\0 report-status".encode()) + b"0000"
    with half_request(served, "git-receive-pack", head + b"PACK\0\0\0\2\0\0\0\x09"):
        until(lambda: git_processes(served.repo), "git to run")
    until(lambda: served.accesses, "the event")
    assert served.accesses == [("claude-1", "engine", "git-receive-pack", [], "error")]
    until(lambda: git_processes(served.repo) == [], "git to be gone")
    until(lambda: everything(served.repo) == before, "git's own files to be gone too")


def half_request(served: Served, service: str, body: bytes) -> socket.socket:
    """A request whose body does not end."""
    connection = socket.create_connection(("127.0.0.1", served.port), timeout=BOUND_S)
    head = f"POST /git/engine.git/{service} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer claude-1:agent\r\n"
    connection.sendall(head.encode() + b"Content-Length: 100000\r\n\r\n" + body)
    return connection


def test_one_agent_cannot_take_all_the_places(served: Served, clone: Path):
    held = [half_request(served, "git-upload-pack", b"00") for _ in range(git_http.REQUESTS_MAX)]
    until(lambda: served.get("/git/engine.git/info/refs?service=git-upload-pack")[0] == 429, "the limit")
    assert served.get("/git/engine.git/info/refs?service=git-upload-pack", "codex-1:agent")[0] == 200
    for connection in held:
        connection.close()
    until(
        lambda: served.get("/git/engine.git/info/refs?service=git-upload-pack")[0] == 200,
        "the places to be free again",
    )


# -- who may


def test_the_operator_may_fetch_and_not_push(served: Served, clone: Path):
    sh(clone, "fetch", "-q", "origin", who="admin:admin")
    commit(clone, "mine")
    done = run(clone, "push", "origin", "HEAD:refs/agents/admin/w", who="admin:admin")
    assert done.returncode != 0 and "pushing is for agents" in done.stderr
    assert served.repo.refs.tips("refs/agents/") == {}
    line = packet(f"{ZERO} {ONE} refs/agents/admin/w\0 report-status".encode()) + b"0000"
    assert served.post("git-receive-pack", line, "admin:admin")[0] == 403


@pytest.mark.parametrize("who", ["runner:runner", "x:stranger", "../main:agent", ".:agent", "*:agent"])
def test_nobody_else_may_do_anything(served: Served, clone: Path, who: str):
    for service in (git_http.FETCH, git_http.PUSH):
        assert served.get(f"/git/engine.git/info/refs?service={service}", who)[0] == 403
        assert served.post(service, b"0000", who)[0] == 403


def test_without_a_principal_nothing_is_served(served: Served):
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=BOUND_S)
    connection.request("GET", "/git/engine.git/info/refs?service=git-upload-pack")
    assert connection.getresponse().status == 500


@pytest.mark.parametrize(
    "path",
    [
        "/git/engine.git/HEAD",
        "/git/engine.git/config",
        "/git/engine.git/info/refs",
        "/git/engine.git/info/refs?service=git-upload-archive",
        "/git/engine.git/info/refs?service=git-upload-pack&service=git-receive-pack",
        "/git/engine.git/objects/info/packs",
        "/git/engine.git/../engine.git/HEAD",
        "/git/other.git/info/refs?service=git-upload-pack",
        "/git/..%2fengine.git/info/refs?service=git-upload-pack",
        "/git/engine.git/git-upload-pack",
    ],
)
def test_nothing_but_smart_http_is_served(served: Served, path: str):
    assert served.get(path)[0] == 404


def test_other_services_and_methods_are_not_served(served: Served):
    assert served.post("git-upload-archive", b"0000")[0] == 404
    assert served.post("info/refs", b"")[0] == 404


# -- the command list by itself


def test_a_list_is_read_the_same_in_whatever_pieces_it_comes():
    lines = [f"{ZERO} {ONE} refs/agents/a/{i}" for i in range(3)]
    whole = packet(f"shallow {ONE}".encode()) + packet(
        f"{lines[0]}\0 report-status atomic agent=git/9 push-options\n".encode()
    )
    whole += packet(lines[1].encode()) + packet(lines[2].encode() + b"\n") + b"0000" + b"PACK..."
    end = len(whole) - len(b"PACK...")
    assert all(git_push.read(whole[:size]) is None for size in range(end))
    push = git_push.read(whole)
    assert [command.ref for command in push.commands] == [
        "refs/agents/a/0",
        "refs/agents/a/1",
        "refs/agents/a/2",
    ]
    assert (push.capabilities, push.shallow, push.rest) == (("report-status", "atomic"), (ONE,), b"PACK...")
    again = git_push.read(git_push.write(push))
    assert again == push
    assert git_push.read(b"0000").commands == () and git_push.write(git_push.read(b"0000")) == b"0000"


def test_a_push_that_is_one_too_many_is_read_before_it_is_told_so(served: Served):
    """Through the route by itself: on a wire it is chance whether a body that nobody reads costs the answer."""
    course: list[str] = []
    body = [b"half", b"the rest"]

    async def receive() -> dict:
        course.append("read")
        return {"type": "http.request", "body": body.pop(0), "more_body": bool(body)}

    async def send(message: dict) -> None:
        course.append(str(message.get("status", "end")))

    route = git_http.GitHttp({"engine": served.repo}, lambda *access: None)
    route._running["one"] = git_http.REQUESTS_MAX
    scope = {"type": "http", "method": "POST", "headers": [], "query_string": b""}
    scope |= {"path_params": {"repo": "engine", "rest": git_http.PUSH}}
    scope |= {"principal": Principal("one", "agent")}
    asyncio.run(route(scope, receive, send))
    assert course == ["read", "read", "429", "end"]


def test_a_slow_client_is_given_up(served: Served):
    """Through the bridge by itself, so that the limit can be short."""
    from mcp_server.edge.git_http import cgi

    async def silent():
        await asyncio.sleep(BOUND_S)

    async def wait() -> int:
        given = cgi.body({}, silent, 10, idle_s=0.05)
        with pytest.raises(cgi.Unservable) as wrong:
            await anext(given)
        return wrong.value.status

    assert asyncio.run(wait()) == 408
