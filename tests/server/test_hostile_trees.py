"""Trees that an enemy makes, pushed through the real server: git or the gate refuses each, with the right
code, and main stays.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_server.repos import trees as git_tree

from . import packs, toy
from .hostile import MODULE, Files, Stand, nested, standing, wire_push
from .packs import DIRECTORY, EXECUTABLE, FILE, GITLINK, LINK, Object
from .wide import refused, settled


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with standing(tmp_path_factory.mktemp("trees")) as made:
        yield made


def one(name: str | bytes, mode: bytes = FILE, content: bytes | str = b"1") -> Files:
    return {(name.encode() if isinstance(name, str) else name,): (mode, content)}


# Git itself takes none of these: the upload fails, and nothing of it stays.
REFUSED_BY_GIT: dict[str, tuple[Files, bytes]] = {
    "a .git file": (one(".git", content=b"gitdir: /x"), b"hasDotgit"),
    "a .git directory": ({(b".git", b"config"): (FILE, b"[core]\n")}, b"hasDotgit"),
    ".GIT": (one(".GIT"), b"hasDotgit"),
    "its NTFS short name": (one("GIT~1"), b"hasDotgit"),
    "with what HFS+ ignores": (one(".g\u200cit"), b"hasDotgit"),
    "with a space": (one(".git "), b"hasDotgit"),
    "with dots": (one(".git..."), b"hasDotgit"),
    "as an NTFS stream": (one(".git::$INDEX_ALLOCATION"), b"hasDotgit"),
    "behind a backslash": (one("a\\.git\\config"), b"hasDotgit"),
    "a submodule's url that is an option": (
        one(".gitmodules", content=b'[submodule "x"]\n\tpath = x\n\turl = --upload-pack=x\n'),
        b"gitmodulesUrl",
    ),
    "a submodule's path that climbs": (
        one(".gitmodules", content=b'[submodule "../x"]\n\tpath = x\n\turl = ./x\n'),
        b"gitmodulesName",
    ),
    ".gitmodules as a symlink": (one(".gitmodules", LINK, b"x"), b"gitmodulesSymlink"),
    "a slash in a name": (one("a/b"), b"fullPathname"),
    "no name": (one(""), b"empty filename"),
    "dot": (one("."), b"hasDot"),
    "dot dot": (one(".."), b"hasDotdot"),
    "a zero-padded mode": (one("x", b"0100644"), b"zeroPaddedFilemode"),
    "a file that all may write": (one("x", b"100666"), b"badFilemode"),
    "a setuid file": (one("x", b"104755"), b"badFilemode"),
    "a pipe": (one("x", b"10644"), b"badFilemode"),
    "a file that is nothing": (one("x", content="0" * 40), b"nullSha1"),
    "a blob that is not there": (one("x", content="1" * 40), b"did not receive expected object"),
    "a file as a directory": (one("x", DIRECTORY), b"is a blob, not a tree"),
}


@pytest.mark.parametrize("name", REFUSED_BY_GIT)
def test_what_git_refuses_leaves_nothing(stand: Stand, name: str):
    files, words = REFUSED_BY_GIT[name]
    with stand.untouched():
        ref, _, answer = wire_push(stand, files)
        assert not packs.took(answer, ref) and words in answer[1], answer


@pytest.mark.parametrize(
    "order", ["twice the same name", "not in order", "a file and a directory of one name"]
)
def test_a_tree_out_of_order_is_refused_and_leaves_nothing(stand: Stand, order: str):
    blob = packs.blob(b"1")
    inner = packs.tree([(FILE, b"x", blob.oid)])
    made = {made.oid: made for made in (blob, inner)}
    entries = {
        "twice the same name": [(FILE, b"a", blob.oid), (FILE, b"a", blob.oid)],
        "not in order": [(FILE, b"b", blob.oid), (FILE, b"a", blob.oid)],
        "a file and a directory of one name": [
            (FILE, b"a", blob.oid),
            (FILE, b"a.b", blob.oid),
            (DIRECTORY, b"a", inner.oid),
        ],
    }[order]
    module = packs.tree(entries)
    made[module.oid] = module
    commit, objects = stand.commit(stand.root(module.oid, made), made)
    with stand.untouched():
        ref = stand.ref()
        answer = stand.wire.push(ref, commit.oid, packs.pack(objects))
        assert not packs.took(answer, ref) and (
            b"duplicateEntries" in answer[1] or b"treeNotSorted" in answer[1]
        ), answer


# Git takes these, as any agent's work in progress; the gate refuses them.
REFUSED_BY_THE_GATE: dict[str, tuple[Files, str, str]] = {
    "attributes": (one(".gitattributes", content=b"* merge=union\n"), "protected_path", "git_config"),
    "attributes far below": (
        {
            (b"a", b"b", b"c", b".gitattributes"): (
                FILE,
                b"* filter=x ident export-subst working-tree-encoding=UTF-16\n",
            )
        },
        "protected_path",
        "git_config",
    ),
    "attributes as a symlink": (one(".gitattributes", LINK, b"README"), "protected_path", "git_config"),
    "attributes by another case": (one(".GitAttributes"), "protected_path", "git_config"),
    "attributes by a short name": (one("gitatt~1"), "protected_path", "git_config"),
    "modules": (
        one(".gitmodules", content=b'[submodule "x"]\n\tpath = x\n\turl = ./x\n'),
        "protected_path",
        "git_config",
    ),
    "a full-width .git": (one("\uff0egit"), "protected_path", "git_config"),
    "a gitlink": (one("sub", GITLINK, "1" * 40), "protected_path", "gitlink"),
    "a gitlink where a file was": (one("README", GITLINK, "1" * 40), "protected_path", "gitlink"),
    "a symlink to anywhere": (one("l", LINK, b"/etc/passwd"), "protected_path", "symlink"),
    "a symlink out": (one("l", LINK, b"../../x"), "protected_path", "symlink"),
    "a symlink out by another": (one("l", LINK, b"a/../../../x"), "protected_path", "symlink"),
    "a symlink to .git": (one("l", LINK, b"../.git/hooks"), "protected_path", "symlink"),
    "a symlink out on Windows": (one("l", LINK, b"..\\..\\x"), "protected_path", "symlink"),
    "a symlink to nothing": (one("l", LINK, b""), "protected_path", "symlink"),
    "a symlink with two lines": (one("l", LINK, b"a\nb"), "protected_path", "symlink"),
    "a symlink that is no text": (one("l", LINK, b"\xff"), "protected_path", "symlink"),
    "an endless symlink": (one("l", LINK, b"a/" * 3000), "protected_path", "symlink"),
    "a file that becomes a symlink": (one("README", LINK, b"/etc/passwd"), "protected_path", "symlink"),
    "two names by case": (one("readme"), "protected_path", "collision"),
    "two directories by case": (
        {(b"A", b"x"): (FILE, b"1"), (b"a", b"y"): (FILE, b"2")},
        "protected_path",
        "collision",
    ),
    "two names by normal form": (one("caf\u00e9") | one("cafe\u0301"), "protected_path", "collision"),
    "two names by folding": (one("stra\u00dfe") | one("STRASSE"), "protected_path", "collision"),
    "two names on HFS+": (one("a\u200cb") | one("ab"), "protected_path", "collision"),
    "two names on NTFS": (one("README.") | one("x"), "protected_path", "collision"),
    "a newline": (one("a\nb"), "protected_path", "a\\nb (name)"),
    "a tab": (one("a\tb"), "protected_path", "name"),
    "a terminal's command": (one("a\x1b[2Jb"), "protected_path", "a\\x1b[2Jb (name)"),
    "a terminal's command of one byte": (one("a\u009b2Jb"), "protected_path", "name"),
    "a name that reads backwards": (one("a\u202etxt.exe"), "protected_path", "a\\u202etxt.exe (name)"),
    "a line separator": (one("a\u2028b"), "protected_path", "name"),
    "a backslash": (one("a\\b"), "protected_path", "name"),
    "no UTF-8": (one(b"a\xff"), "protected_path", "a\\xff (name)"),
    "a surrogate": (one(b"\xed\xb3\xbf"), "protected_path", "name"),
    "a slash in too many bytes": (one(b"\xc0\xaf"), "protected_path", "name"),
    "an option": (one("-rf"), "protected_path", "name"),
    "an option as a directory": ({(b"--help", b"x"): (FILE, b"1")}, "protected_path", "name"),
    "a pathspec's magic": (one(":(top)x"), "protected_path", "name"),
    "a name too long for any disk": (one("n" * 256), "protected_path", "name"),
    "a name too long to be said": (one("n" * 5000), "protected_path", "characters) ..."),
    "bytecode": ({(b"__pycache__", b"x.pyc"): (FILE, b"1")}, "protected_path", "x.pyc (cache)"),
    "a compiled program": (one("run", EXECUTABLE, b"\x7fELF\2\1\1"), "protected_path", "m04/run (compiled)"),
    "a source that becomes a compiled program": (
        one("README", content=b"\0asm\1\0\0\0"),
        "protected_path",
        "m04/README (compiled)",
    ),
    "a large file": (one("big", content=b"x" * (git_tree.FILE_BYTES_MAX + 1)), "too_large", "too_large"),
}


@pytest.mark.parametrize("name", REFUSED_BY_THE_GATE)
def test_what_the_gate_refuses_reaches_neither_main_nor_any_ref_of_the_servers(stand: Stand, name: str):
    files, code, words = REFUSED_BY_THE_GATE[name]
    main, before = stand.main(), stand.refs()
    ref, commit, answer = wire_push(stand, files)
    assert packs.took(answer, ref), answer
    told = refused(stand.push(commit=commit), code)
    assert words in told["happened"] and told["text"].isprintable() or "\n" in told["text"]
    assert stand.main() == main and stand.refs() == before | {ref: commit}
    assert not list(stand.bare.glob("objects/tmp_*")) and not list(stand.bare.rglob("*.lock"))


def test_names_that_only_look_odd_land(stand: Stand):
    odd = (
        one('"x"')
        | one("a:b")
        | one("caf\u00e9")
        | one(".gitkeep")
        | one("n" * 255)
        | one("\u4e2d\u6587")
        | one("run", EXECUTABLE)
        | one("l", LINK, b"README")
    )
    ref, commit, answer = wire_push(stand, odd)
    assert packs.took(answer, ref), answer
    assert stand.push(commit=commit)["status"] == "landed"
    with stand.server.http() as http:
        http.post("/api/tasks/M04/reopen", json={"reason": "again"}).raise_for_status()
    stand.fence = stand.one.call("claim_task", task="M04")["fence"]


def test_a_bad_name_that_the_user_has_may_be_changed_and_taken_away_and_is_told_readably(tmp_path: Path):
    """The rule is for what a change adds; and what cannot be printed breaks no answer of the API."""
    with standing(tmp_path) as own:
        bad = one(b"a\xff") | one("b\nc") | one("-d")
        commit, objects = own.change(bad)
        ref = own.ref()
        assert packs.took(own.wire.push(ref, commit.oid, packs.pack(objects)), ref)
        own.git("update-ref", "refs/heads/main", commit.oid)
        changed, objects = own.change(one(b"a\xff", content=b"2") | one("b\nc", content=b"2"))
        ref = own.ref()
        assert packs.took(own.wire.push(ref, changed.oid, packs.pack(objects)), ref)
        assert own.push(commit=changed.oid)["status"] == "landed"
        with own.server.http() as http:
            paths = http.get("/api/commits").raise_for_status().json()["commits"][-1]["paths"]
        assert len(paths) == 2


@pytest.mark.parametrize(
    ("files", "code", "words"),
    [
        (one("sub", GITLINK, "1" * 40), "protected_path", "m04/sub (gitlink)"),
        (one("l", LINK, b"/etc/passwd"), "protected_path", "m04/l (symlink)"),
        ({(b"a", b"l"): (LINK, b"../../../x")}, "protected_path", "m04/a/l (symlink)"),
    ],
    ids=["gitlink", "symlink", "symlink below"],
)
def test_what_no_sandbox_can_be_given_is_refused_before_a_run_too(
    stand: Stand, files: Files, code: str, words: str
):
    ref, commit, answer = wire_push(stand, files)
    assert packs.took(answer, ref), answer
    assert (
        words in refused(settled(stand.one, "run_oracle", fence=stand.fence, commit=commit), code)["happened"]
    )


def test_a_tree_that_names_millions_of_files_is_refused_before_a_run_too(stand: Stand):
    blob = packs.blob(b"1")
    made = {blob.oid: blob}
    below = packs.tree((FILE, b"%02d" % number, blob.oid) for number in range(30))
    made[below.oid] = below
    for _ in range(5):
        below = packs.tree((DIRECTORY, b"%02d" % number, below.oid) for number in range(30))
        made[below.oid] = below
    commit, objects = stand.commit(stand.root(below.oid, made), made)
    ref = stand.ref()
    assert packs.took(stand.wire.push(ref, commit.oid, packs.pack(objects)), ref)
    refused(settled(stand.one, "run_oracle", fence=stand.fence, commit=commit.oid), "too_large")
    refused(stand.push(commit=commit.oid), "too_large")


# -- renames and swaps


def test_a_renamed_directory_carries_no_other_agents_file_into_a_module(stand: Stand):
    """A moves m05 to m05/sub as its lease lets it; B, who began before, adds m05/new. Nothing of B's lands in
    m05/sub.
    """
    two, three = stand.server.agent("two"), stand.server.agent("three")
    first = two.call("claim_task", task="M05")["fence"]
    late = three.clone(stand.clone.parent / "late")
    mine = two.clone(stand.clone.parent / "mover")
    (mine / "m05/sub").mkdir()
    toy.git("mv", "m05/README", "m05/sub/README", cwd=mine)
    assert (
        settled(two, "push", fence=first, commit=two.commit(mine, {}), summary="Move")["status"] == "landed"
    )
    with stand.server.http() as http:
        http.post("/api/tasks/M05/reopen", json={"reason": "again"}).raise_for_status()
    second = three.call("claim_task", task="M05")["fence"]
    landed = settled(
        three, "push", fence=second, commit=three.commit(late, {"m05/new": "new\n"}), summary="Add"
    )
    assert landed["status"] == "landed"
    assert stand.git("ls-tree", "-r", "--name-only", landed["main"], "m05/").split() == [
        "m05/new",
        "m05/sub/README",
    ]


def test_a_change_does_not_follow_a_file_out_of_its_lease(stand: Stand):
    """The file that B changes has been moved into another module meanwhile: B's change must not arrive there."""
    two, three = stand.server.agent("two"), stand.server.agent("three")
    with stand.server.http() as http:
        wide_task = http.post("/api/tasks", json={"title": "Wide", "module": "m06", "brief": "b"}).json()[
            "id"
        ]
    fence = two.call("claim_task", task=wide_task)["fence"]
    late = three.clone(stand.clone.parent / "late2")
    mine = two.clone(stand.clone.parent / "mover2")
    toy.git("mv", "m06/README", "m06/moved", cwd=mine)
    assert (
        settled(two, "push", fence=fence, commit=two.commit(mine, {}), summary="Move")["status"] == "landed"
    )
    fence = three.call("claim_task", task="M06")["fence"]
    answer = refused(
        settled(
            three,
            "push",
            fence=fence,
            commit=three.commit(late, {"m06/README": "m06\nsecond\nthird\nmine\n"}),
            summary="Change",
        ),
        "conflict",
    )
    assert "m06/README" in answer["happened"]
    three.call("release_task", fence=fence, outcome="abandoned")


def test_files_and_directories_may_change_places_inside_the_lease_and_nowhere_else(stand: Stand):
    ref, commit, answer = wire_push(
        stand, {(b"README", b"x"): (FILE, b"1")}
    )  # a directory where the file was
    assert packs.took(answer, ref) and stand.push(commit=commit)["status"] == "landed"
    assert stand.git("ls-tree", "-r", "--name-only", "main", f"{MODULE}/README/") == "m04/README/x"
    with stand.server.http() as http:
        http.post("/api/tasks/M04/reopen", json={"reason": "again"}).raise_for_status()
    stand.fence = stand.one.call("claim_task", task="M04")["fence"]
    made: dict[str, Object] = {}
    above = stand.entries(stand.git("rev-parse", "main^{tree}"))
    blob = packs.blob(b"1")
    root = packs.tree(
        packs.in_gits_order(
            (FILE, name, blob.oid) if name == b"m07" else (mode, name, oid) for mode, name, oid in above
        )
    )
    made |= {blob.oid: blob, root.oid: root}
    commit, objects = stand.commit(root.oid, made)  # a file where another module's directory was
    ref = stand.ref()
    assert packs.took(stand.wire.push(ref, commit.oid, packs.pack(objects)), ref)
    assert "m07" in refused(stand.push(commit=commit.oid), "outside_module")["happened"]


# -- size


def test_a_hundred_thousand_files_in_one_change_are_too_many(stand: Stand):
    blob, made = packs.blob(b"1"), {}
    made[blob.oid] = blob
    below = packs.tree((FILE, b"%05d" % number, blob.oid) for number in range(1_000))
    module = packs.tree((DIRECTORY, b"%03d" % number, below.oid) for number in range(100))
    made |= {below.oid: below, module.oid: module}
    commit, objects = stand.commit(stand.root(module.oid, made), made)
    ref = stand.ref()
    assert packs.took(stand.wire.push(ref, commit.oid, packs.pack(objects)), ref)
    answer = refused(stand.push(commit=commit.oid), "too_large")
    assert "files, and one landing may change 20,000" in answer["happened"]


@pytest.mark.parametrize("depth", [100, 4_000, 200_000])
def test_a_path_of_many_directories_is_refused(stand: Stand, depth: int):
    blob = packs.blob(b"1")
    made = {blob.oid: blob}
    module = nested(b"d", depth, blob.oid, made)
    commit, objects = stand.commit(stand.root(module, made), made)
    ref = stand.ref()
    if packs.took(stand.wire.push(ref, commit.oid, packs.pack(objects)), ref):
        assert stand.push(commit=commit.oid)["code"] in ("protected_path", "too_large", "oracle_broken")
    stand.good_upload()


def test_short_trees_that_name_millions_of_directories_cost_no_memory(stand: Stand):
    """60,000 names for one chain of 60 directories: a few kilobytes to send, and 3.6 million names of
    directories.
    """
    blob = packs.blob(b"1")
    made = {blob.oid: blob}
    chain = nested(b"dddddd", 55, blob.oid, made)
    module = packs.tree((DIRECTORY, b"%05d" % number, chain) for number in range(20_000))
    made[module.oid] = module
    commit, objects = stand.commit(stand.root(module.oid, made), made)
    ref = stand.ref()
    assert packs.took(stand.wire.push(ref, commit.oid, packs.pack(objects)), ref)
    refused(stand.push(commit=commit.oid), "too_large")


def test_after_all_of_it_the_next_good_change_lands(stand: Stand):
    stand.good_landing()
    assert stand.git("fsck", "--full", "--strict", "--no-dangling", "--connectivity-only") == ""
