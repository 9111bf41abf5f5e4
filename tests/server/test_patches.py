"""Clients without git push a unified diff: what becomes of it, and that what is refused leaves nothing
behind.
"""

import difflib
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from mcp_server.core import unified_diff
from mcp_server.repos.quarantine import beside
from mcp_server.repos.repository import Repository
from tests.waiting import BOUND_S

from . import toy, wide
from .conftest import NO_TLS, Agent, Server
from .wide import refused, settled


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with wide.serving(tmp_path_factory.mktemp("patches")) as made, wide.running(made):
        yield made


README = "m{:02}\nsecond\nthird\n"  # of every module


def repository(server: Server) -> Repository:
    return Repository(server.state / "repos" / "toy.git")


def kept(server: Server) -> set[str]:
    """Everything that a repository holds: its objects, packed or not, and its refs."""
    repo = repository(server)
    objects = (
        repo.git.run("cat-file", "--batch-all-objects", "--batch-check=%(objectname)").out.decode().split()
    )
    return {*objects, *repo.refs.tips("refs"), *(path.name for path in (repo.path / "objects").iterdir())}


def claimed(server: Server, number: int, *, name: str = "") -> tuple[Agent, int]:
    one = server.agent(name or f"patcher-{number}", session=False)
    return one, one.call("claim_task", task=f"M{number:02}")["fence"]


def diff(path: str, before: str, after: str) -> str:
    """As Python makes it, with its own idea of a header."""
    return "".join(
        difflib.unified_diff(before.splitlines(True), after.splitlines(True), f"a/{path}", f"b/{path}")
    )


def new(path: str, text: str, mode: str = "100644") -> str:
    lines = text.splitlines()
    head = f"diff --git a/{path} b/{path}\nnew file mode {mode}\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{len(lines)} @@\n"
    return head + "".join(f"+{line}\n" for line in lines)


# -- what lands


def test_a_patch_becomes_a_commit_of_the_agents_and_lands_as_one(server: Server):
    one, fence = claimed(server, 1)
    base = repository(server).refs.branch_tip("main")
    patch = diff("m01/README", README.format(1), "m01\n2nd\nthird\n") + new("m01/deep/new.txt", "1\n2")
    landed = settled(one, "push", fence=fence, patch=patch, summary="Patch it")
    assert landed["status"] == "landed", landed
    repo = repository(server)
    assert (
        repo.objects.read(landed["main"], "m01/README"),
        repo.objects.read(landed["main"], "m01/deep/new.txt"),
    ) == (
        b"m01\n2nd\nthird\n",
        b"1\n2\n",
    )
    [event] = server.events(kind="patch_uploaded", agent=one.name)
    own = repo.refs.tip(event["data"]["ref"])
    assert (
        event["data"]["ref"].startswith(f"refs/agents/{one.name}/patch-") and own == event["data"]["commit"]
    )
    assert repo.commits.is_ancestor(base, own) and [
        commit.author for commit in repo.commits.log("main", limit=1)
    ] == [one.name]
    assert landed == one.call("push", fence=fence, patch=patch, summary="Patch it")
    assert len(server.events(kind="patch_uploaded", agent=one.name)) == 1


def test_a_whole_change_is_deleted_renamed_and_made_executable(server: Server):
    one, fence = claimed(server, 2)
    patch = "diff --git a/m02/README b/m02/text\nold mode 100644\nnew mode 100755\nsimilarity index 100%\nrename from m02/README\nrename to m02/text\n"
    landed = settled(one, "push", fence=fence, patch=patch, summary="Move")
    entries = {
        entry.path: entry.mode
        for entry in repository(server).objects.ls_tree(landed["main"])
        if entry.path.startswith("m02/")
    }
    assert entries == {"m02/text": "100755"}


def test_counts_that_are_wrong_are_counted_anew_and_an_end_of_line_may_be_missing(server: Server):
    one, fence = claimed(server, 3)
    patch = "--- a/m03/README\n+++ b/m03/README\n@@ -1,9 +1,7 @@\n m03\n-second\n+2nd\n third"
    assert settled(one, "push", fence=fence, patch=patch, summary="Miscounted")["status"] == "landed"
    assert (
        repository(server).objects.read(repository(server).refs.branch_tip("main"), "m03/README")
        == b"m03\n2nd\nthird\n"
    )


def test_a_patch_may_build_on_an_older_main_or_on_the_one_before(server: Server):
    one, fence = claimed(server, 4)
    first = repository(server).refs.branch_tip("main")
    bad = one.call("push", fence=fence, patch=diff("m04/README", README.format(4), "m04\n"), summary=" ")
    assert refused(bad, "bad_request")
    [event] = server.events(kind="patch_uploaded", agent=one.name)
    above = diff("m04/README", "m04\n", "m04\nagain\n")
    refused(one.call("push", fence=fence, patch=above, base=first, summary="On main"), "conflict")
    landed = settled(one, "push", fence=fence, patch=above, base=event["data"]["commit"], summary="On mine")
    assert (
        landed["status"] == "landed"
        and repository(server).objects.read(landed["main"], "m04/README") == b"m04\nagain\n"
    )


def test_what_fails_the_oracle_is_refused_as_any_push_is_and_can_be_asked_about(server: Server):
    one, fence = claimed(server, 0)
    failing = refused(
        settled(one, "push", fence=fence, patch=new("m00/x", "1"), summary="Nothing gained"), "oracle_failed"
    )
    assert "low/0" in failing["happened"]
    told = settled(one, "run_oracle", fence=fence)
    assert told["status"] == "failed" and told["suites"]["words"]["counts"]["failed"] == 2
    mended = settled(one, "push", fence=fence, patch=new("m00/filter", "FROM=a-z\nTO=A-Z"), summary="Shout")
    assert mended["status"] == "landed", mended


def of_git(root: Path, *options: str) -> str:
    """Return what git itself prints for a change, a new file, a deletion and a rename below m11/core."""
    old = {"change.txt": "1\n", "gone.txt": "2\n", "old name.txt": "3\n4\n5\n"}
    work = toy.repository(root, {f"m11/core/{name}": text for name, text in old.items()})
    (work / "m11/core/change.txt").write_text("one\n")
    (work / "m11/core/new \N{SNOWMAN}.txt").write_text("new\n")
    (work / "m11/core/gone.txt").unlink()
    (work / "m11/core/old name.txt").rename(work / "m11/core/new name.txt")
    toy.git("add", "-A", cwd=work)
    return toy.git(*options[:-1], "diff", "--cached", "-M", *options[-1:], cwd=work) + "\n"


@pytest.mark.parametrize(
    "options",
    [
        ("-c", "core.abbrev=7", "HEAD"),
        ("-c", "diff.noprefix=true", "HEAD"),
        ("-c", "diff.mnemonicPrefix=true", "HEAD"),
        ("-c", "diff.mnemonicPrefix=true", "-R"),
    ],
    ids=["default", "no prefix", "mnemonic", "reversed"],
)
def test_a_patch_of_gits_applies_where_it_says_with_any_prefix_of_gits(tmp_path: Path, options: tuple):
    text = of_git(tmp_path / "user", *options)
    diff = unified_diff.read(text)
    repo = Repository.create(tmp_path / "ours.git")
    if options[-1] == "-R":
        toy.git("commit", "-qm", "changed", cwd=tmp_path / "user")
    branch = toy.git("branch", "--show-current", cwd=tmp_path / "user")
    base = repo.exchange.import_branch(tmp_path / "user", branch).commit
    if options[-1] != "-R":
        toy.git("commit", "-qm", "changed", cwd=tmp_path / "user")
    expected = toy.git(
        "rev-parse", "HEAD^{tree}" if options[-1] != "-R" else "HEAD^^{tree}", cwd=tmp_path / "user"
    )
    strip = unified_diff.components_to_strip(diff, lambda: {e.path for e in repo.objects.ls_tree(base)})
    assert strip in (0, 1), strip
    with beside(repo) as apart:
        assert apart.apply_patch(base, diff.text().encode(), strip) == expected


def test_a_patch_without_prefixes_lands_where_it_says(server: Server):
    one, fence = claimed(server, 11)
    patch = new("m11/core/b.txt", "new").replace("a/m11", "m11").replace("b/m11", "m11")
    landed = settled(one, "push", fence=fence, patch=patch, summary="No prefix")
    assert landed["status"] == "landed", landed
    repo = repository(server)
    assert repo.objects.read(landed["main"], "m11/core/b.txt") == b"new\n"
    assert repo.objects.read(landed["main"], "core/b.txt") is None


CUSTOM = "--- {}\n+++ {}\n@@ -1,3 +1,3 @@\n m12\n-second\n+2nd\n third\n"


@pytest.mark.parametrize(
    ("old", "new_path"),
    [
        ("old/m12/README", "new/m12/README"),
        ("a/m12/README", "a/m12/README"),
        ("a/m12/README", "m12/README"),
        ("OLDm12/README", "NEWm12/README"),
    ],
)
@pytest.mark.parametrize("git_header", [True, False])
def test_a_patch_whose_prefixes_are_unclear_is_refused_with_the_line(
    server: Server, old: str, new_path: str, git_header: bool
):
    one, fence = claimed(server, 12)
    head = f"diff --git {old} {new_path}\n" if git_header else ""
    patch = head + CUSTOM.format(old, new_path)
    refusal = refused(one.call("push", fence=fence, patch=patch, summary="s"), "bad_request")
    assert "line 1 of the patch" in refusal["happened"] and old in refusal["happened"]
    assert "--src-prefix=a/" in refusal["next"]


def test_a_lease_that_ends_keeps_an_unlanded_patch_as_salvage(server: Server):
    one, fence = claimed(server, 5)
    refused(one.call("push", fence=fence, patch=new("m05/half", "1"), summary=""), "bad_request")
    one.call("release_task", fence=fence, outcome="abandoned")
    found = server.agent("heir").call("claim_task", task="M05")["salvage"]
    assert (
        found["agent"] == one.name and repository(server).objects.read(found["commit"], "m05/half") == b"1\n"
    )


def test_the_same_patch_from_many_calls_at_once_is_one_commit(server: Server):
    one, fence = claimed(server, 6)
    patch, answers = new("m06/x", "1"), []
    barrier = threading.Barrier(4)

    def call() -> None:
        barrier.wait()
        answers.append(settled(one, "push", fence=fence, patch=patch, summary="Once"))

    threads = [threading.Thread(target=call) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert {(answer["status"], answer["main"]) for answer in answers} == {("landed", answers[0]["main"])}
    assert (
        len([ref for ref in repository(server).refs.tips(f"refs/agents/{one.name}") if "/patch-" in ref]) == 1
    )


# -- what does not


LINK = "diff --git a/m07/link b/m07/link\nnew file mode 120000\n--- /dev/null\n+++ b/m07/link\n@@ -0,0 +1 @@\n+{}\n\\ No newline at end of file\n"
GITLINK = (
    "diff --git a/m07/sub b/m07/sub\nnew file mode 160000\n--- /dev/null\n+++ b/m07/sub\n@@ -0,0 +1 @@\n+Subproject commit "
    + "a" * 40
    + "\n"
)
QUOTED = 'diff --git "a/m07/{0}" "b/m07/{0}"\nnew file mode 100644\n--- /dev/null\n+++ "b/m07/{0}"\n@@ -0,0 +1 @@\n+x\n'
HOSTILE = {
    "above": (new("../x", "1"), "protected_path"),
    "above and back": (new("m07/../../x", "1"), "protected_path"),
    "absolute": (new("/etc/x", "1"), "protected_path"),
    "quoted dots": (QUOTED.format("\\056\\056/\\056\\056/x"), "protected_path"),
    "quoted newline": (QUOTED.format("a\\nb"), "protected_path"),
    "quoted not UTF-8": (QUOTED.format("\\377"), "protected_path"),
    "git directory": (new("m07/.git/hooks/post-checkout", "rm -rf /", "100755"), "protected_path"),
    "git directory by case": (new("m07/.GIT/config", "1"), "protected_path"),
    "git directory by a short name": (new("m07/git~1/config", "1"), "protected_path"),
    "attributes": (new("m07/.gitattributes", "* merge=union"), "protected_path"),
    "link out of the tree": (LINK.format("/etc/passwd"), "protected_path"),
    "link above": (LINK.format("../../../x"), "protected_path"),
    "through its own link": (LINK.format("..") + new("m07/link/main.sh", "1"), "protected_path"),
    "submodule": (GITLINK, "protected_path"),
    "the oracle's cases": (new("oracle/cases/up/easy.txt", "1"), "protected_path"),
    "another module": (new("m08/x", "1"), "outside_module"),
    "out of another module": (
        "diff --git a/m08/README b/m07/stolen\nsimilarity index 100%\nrename from m08/README\nrename to m07/stolen\n",
        "outside_module",
    ),
    "mode of another's file": (
        "diff --git a/m08/README b/m08/README\nold mode 100644\nnew mode 100755\n",
        "outside_module",
    ),
    "one name by case": (new("m07/a", "1") + new("m07/A", "1"), "protected_path"),
    "no such file": (diff("m07/none", "a\n", "b\n"), "conflict"),
    "other lines": (diff("m07/README", "first\nsecond\n", "first\n2nd\n"), "conflict"),
    "exists already": (new("m07/README", "1"), "conflict"),
    "prose": ("please change the README", "bad_request"),
    "nothing": ("", "bad_request"),
    "cut short": ("--- a/m07/README\n+++ b/m07/README\n@@ -1,3 +1,3 @@", "conflict"),
    "binary": (
        "diff --git a/m07/x b/m07/x\nnew file mode 100644\nindex 0000000..1\nGIT binary patch\nliteral 1\nIcmZPo000310RR91\n\n",
        "bad_request",
    ),
    "binary, told only": (
        "diff --git a/m07/x b/m07/x\nBinary files /dev/null and b/m07/x differ\n",
        "bad_request",
    ),
    "a NUL": (new("m07/x", "a\0b"), "bad_request"),
    "no change": (
        diff("m07/README", README.format(7), "m07\n2nd\nthird\n")
        + diff("m07/README", "m07\n2nd\nthird\n", README.format(7)),
        "nothing_to_land",
    ),
    "too long": (new("m07/x", "x" * 600_000), "too_large"),
}


@pytest.fixture(scope="module")
def victim(server: Server) -> tuple[Agent, int]:
    return claimed(server, 7)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_patch_that_may_not_be_is_refused_with_its_code_and_leaves_nothing_behind(
    server: Server, victim: tuple[Agent, int], kind: str
):
    one, fence = victim
    patch, code = HOSTILE[kind]
    before = kept(server)
    said = refused(one.call("push", fence=fence, patch=patch, summary="No"), code)
    assert str(server.state) not in said["text"] and "tmp_objdir" not in said["text"]
    assert kept(server) == before
    assert not server.events(kind="patch_uploaded", agent=one.name) and not server.events(
        kind="submission", agent=one.name
    )
    assert server.events(kind="refusal", agent=one.name)[-1]["data"]["code"] == code


def test_a_refusal_names_the_file_and_the_line_of_the_hunk_that_does_not_fit(
    server: Server, victim: tuple[Agent, int]
):
    one, fence = victim
    said = refused(
        one.call("push", fence=fence, patch=diff("m07/README", "m07\nother\n", "m07\n2nd\n"), summary="No"),
        "conflict",
    )
    assert "m07/README:1" in said["happened"] and "read those files again" in said["next"]


def test_after_all_that_the_next_patch_lands(server: Server, victim: tuple[Agent, int]):
    one, fence = victim
    assert settled(one, "push", fence=fence, patch=new("m07/x", "1"), summary="Yes")["status"] == "landed"


def test_a_hundred_megabytes_are_turned_away_before_they_are_read(server: Server):
    one, _ = claimed(server, 8)
    before = kept(server)

    def endless() -> Iterator[bytes]:
        yield b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"push","arguments":{"patch":"'
        for _ in range(100):
            yield b"+" * 1_000_000

    headers = {
        "Authorization": f"Bearer {one.token}",
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
    }
    with (
        httpx2.Client(timeout=BOUND_S, verify=NO_TLS) as http,
        suppress(httpx2.TransportError),
    ):  # the server need not hear it to the end
        assert http.post(f"{server.url}/mcp", content=endless(), headers=headers).status_code == 413
    assert kept(server) == before and one.call("list_tasks")["open"]


def test_a_patch_without_a_lease_is_refused_like_a_commit_without_one(server: Server):
    one, fence = claimed(server, 9)
    stranger = server.agent("stranger")
    refused(stranger.call("push", fence=fence, patch=new("m09/x", "1"), summary="Mine"), "not_leased")
    refused(one.call("push", fence=999_999, patch=new("m09/x", "1"), summary="None"), "not_leased")
    one.call("release_task", fence=fence, outcome="abandoned")
    refused(one.call("push", fence=fence, patch=new("m09/x", "1"), summary="Late"), "stale_fence")
    assert not [
        ref for ref in repository(server).refs.tips("refs/agents") if "stranger" in ref or one.name in ref
    ]


@pytest.mark.parametrize(
    "given",
    [{}, {"patch": "x", "commit": "a" * 40}, {"commit": "a" * 40, "base": "b" * 40}, {"base": "b" * 40}],
)
def test_push_takes_either_a_commit_or_a_patch(server: Server, given: dict):
    assert (
        "either"
        in refused(server.agent("undecided").call("push", fence=1, summary="s", **given), "bad_request")[
            "happened"
        ]
    )


@pytest.mark.parametrize("base", ["a" * 40, "main", "--all", " ", "HEAD"])
def test_a_base_that_is_nobodys_commit_is_refused(server: Server, base: str):
    one, fence = claimed(server, 10)
    said = refused(
        one.call("push", fence=fence, patch=new("m10/x", "1"), base=base, summary="s"), "commit_unknown"
    )
    assert repository(server).refs.branch_tip("main") in said["next"]


def test_what_a_killed_server_left_of_a_patch_is_swept(tmp_path: Path):
    with wide.serving(tmp_path) as server:
        half = server.state / "repos" / "toy.git" / "objects" / "tmp_objdir-patch-half"
        server.stop()
        half.mkdir()
        (half / "index").write_text("half")
        server.start()
        assert not half.exists()


# -- line ends


def test_a_patch_takes_the_line_ends_of_the_file_that_it_changes(server: Server, tmp_path: Path):
    one = server.agent("typist")
    fence = one.call("claim_task", task="M31")["fence"]
    files = {"m31/dos": "first\r\nsecond\r\n", "m31/unix": "first\nsecond\n", "m31/both": "first\r\nsecond\n"}
    base = one.commit(one.clone(tmp_path / "one"), files)
    both = diff("m31/both", "first\nsecond\n", "first\nthird\n")
    no = refused(one.call("push", fence=fence, patch=both, base=base, summary="both"), "conflict")
    assert "m31/both" in no["holds"]
    assert "CRLF" in no["holds"]
    plain = "".join(diff(path, "first\nsecond\n", "first\nthird\n") for path in ("m31/dos", "m31/unix"))
    head, hunk, body = diff("m31/unix", "first\nsecond\n", "first\nthird\n").partition("@@\n")
    typed = diff("m31/dos", "first\nsecond\n", "first\nthird\n") + head + hunk + body.replace("\n", "\r\n")
    assert plain != typed
    assert settled(one, "push", fence=fence, patch=typed, base=base, summary="typed")["status"] == "landed"
    main = server.world.main("toy")
    assert repository(server).objects.read(main, "m31/dos") == b"first\r\nthird\r\n"
    assert repository(server).objects.read(main, "m31/unix") == b"first\nthird\n"
