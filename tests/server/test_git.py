"""Real repositories: what the server's git does, and what a hostile tree or environment cannot make it do."""

import io
import os
import subprocess
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.repos import trees as git_tree
from mcp_server.repos.exchange import Diverged, Imported
from mcp_server.repos.merge import Conflict, Merged
from mcp_server.repos.process import ZERO, GitFailed, GitOutputTooLarge
from mcp_server.repos.refs import NoSuchBranch
from mcp_server.repos.repository import Repository
from mcp_server.repos.trees import HazardKind, HostileTree
from tests.waiting import BOUND_S, until

CLEAN = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
CLEAN |= {
    f"GIT_{who}_{what}": "user@example.invalid"
    for who in ("AUTHOR", "COMMITTER")
    for what in ("NAME", "EMAIL")
}


def sh(where: Path, *argv: str, stdin: str | bytes = b"", env: dict[str, str] | None = None) -> str:
    """The user's own git: not the one under test."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        ["git", "-C", str(where), *argv], input=given, capture_output=True, env=CLEAN | (env or {})
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode("utf-8", "surrogateescape").strip()


def commit_files(where: Path, files: dict[str, str | None], message: str = "work") -> str:
    for name, text in files.items():
        path = where / name
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    sh(where, "add", "-A")
    sh(where, "commit", "-q", "-m", message)
    return sh(where, "rev-parse", "HEAD")


@pytest.fixture
def user(tmp_path: Path) -> Path:
    where = tmp_path / "user"
    where.mkdir()
    sh(where, "init", "-q", "-b", "main")
    commit_files(where, {"a/one.txt": "1\n2\n3\n", "b/two.txt": "x\n", "readme": "hello\n"}, "first")
    return where


@pytest.fixture
def repo(tmp_path: Path, user: Path) -> Repository:
    made = Repository.create(tmp_path / "state" / "engine.git")
    made.exchange.import_branch(user, "main")
    return made


def upload(repo: Repository, user: Path, agent: str = "claude-1", name: str = "work") -> str:
    sh(user, "push", "-q", "-f", str(repo.path), f"HEAD:refs/agents/{agent}/{name}")
    return sh(user, "rev-parse", "HEAD")


def tree(repo: Repository, entries: list[tuple[str, str | bytes, bytes]]) -> str:
    """A tree with exactly these entries of (mode, content or object id, path at the root), however
    ill-formed.
    """
    raw = b""
    for mode, content, name in entries:
        kind = "tree" if mode == "40000" else "blob"
        oid = content if isinstance(content, str) else _write(repo, kind, content)
        raw += mode.encode() + b" " + name + b"\0" + bytes.fromhex(oid)
    return _write(repo, "tree", raw)


def _write(repo: Repository, kind: str, content: bytes) -> str:
    return sh(repo.path, "hash-object", "-w", "-t", kind, "--literally", "--stdin", stdin=content)


# -- life and environment


def test_a_repository_is_configured_and_stays_so(tmp_path: Path):
    path = tmp_path / "r.git"
    Repository.create(path)
    (path / "config").write_text("[core]\n\tbare = true\n")
    Repository.open(path)
    wanted = {
        "core.fsync": "all",
        "gc.auto": "0",
        "core.logallrefupdates": "always",
        "http.getanyfile": "false",
    }
    wanted |= {"receive.fsckobjects": "true", "receive.denydeletes": "true", "receive.maxinputsize": "64m"}
    assert {key: sh(path, "config", key) for key in wanted} == wanted
    assert sh(path, "config", "--get-all", "receive.hideRefs").split() == ["refs/", "!refs/agents/"]


def test_creating_twice_keeps_what_is_there(repo: Repository):
    before = repo.refs.branch_tip("main")
    assert Repository.create(repo.path).refs.branch_tip("main") == before


def test_what_a_killed_server_left_does_not_stay_in_the_way(repo: Repository):
    base = repo.refs.branch_tip("main")
    new = repo.commits.create(repo.objects.tree_of(base), [base], "new", "claude-1", 1)
    (repo.path / "refs/heads/main.lock").touch()
    (repo.path / "packed-refs.lock").touch()
    (repo.path / "objects/tmp_objdir-incoming-abc/pack").mkdir(parents=True)
    with pytest.raises(GitFailed):
        repo.refs.compare_and_swap("refs/heads/main", new, base)
    again = Repository.open(repo.path)
    assert again.refs.compare_and_swap("refs/heads/main", new, base)
    assert [path.name for path in repo.path.rglob("*") if "lock" in path.name or "tmp" in path.name] == []


def test_opening_what_is_not_there_fails(tmp_path: Path):
    with pytest.raises(GitFailed):
        Repository.open(tmp_path / "none.git")


def test_objects_and_refs_are_flushed_to_the_disk(repo: Repository, tmp_path: Path):
    trace = tmp_path / "trace"
    env = {"GIT_TRACE2_EVENT": str(trace)}
    sh(repo.path, "hash-object", "-w", "--stdin", stdin="new\n", env=env)
    sh(repo.path, "update-ref", "refs/agents/a/b", repo.refs.branch_tip("main"), env=env)
    flushed = [
        line
        for line in trace.read_text().splitlines()
        if '"fsync/hardware-flush"' in line and '"value":"0"' not in line
    ]
    assert len(flushed) >= 2


def test_the_servers_environment_changes_nothing(
    repo: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    expected = repo.refs.branch_tip("main")
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setenv("GIT_DIR", str(elsewhere))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(elsewhere))
    monkeypatch.setenv("GIT_NAMESPACE", "other")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "nonsense")
    assert repo.refs.branch_tip("main") == expected
    commit = repo.commits.create(repo.objects.tree_of(expected), [expected], "m", "claude-1", 1)
    assert repo.commits.resolve(commit) == commit
    assert not elsewhere.exists()


# -- import and export


def test_import_follows_the_user_forward_and_keeps_what_landed(repo: Repository, user: Path):
    first = repo.refs.branch_tip("main")
    assert repo.exchange.import_branch(user, "main") == Imported(first, changed=False)
    second = commit_files(user, {"readme": "again\n"})
    assert repo.exchange.import_branch(user, "main") == Imported(second, changed=True)
    landed = repo.commits.create(repo.objects.tree_of(second), [second], "landed", "claude-1", 1)
    assert repo.refs.compare_and_swap("refs/heads/main", landed, second)
    assert repo.exchange.import_branch(user, "main") == Imported(landed, changed=False)


def test_a_diverged_branch_is_not_touched(repo: Repository, user: Path):
    base = repo.refs.branch_tip("main")
    ours = repo.commits.create(repo.objects.tree_of(base), [base], "landed", "claude-1", 1)
    assert repo.refs.compare_and_swap("refs/heads/main", ours, base)
    theirs = commit_files(user, {"readme": "mine\n"})
    with pytest.raises(Diverged) as diverged:
        repo.exchange.import_branch(user, "main")
    assert (diverged.value.ours, diverged.value.theirs) == (ours, theirs)
    assert repo.refs.branch_tip("main") == ours


def test_import_of_another_branch_makes_it_what_a_clone_checks_out(tmp_path: Path, user: Path):
    sh(user, "checkout", "-q", "-b", "trunk/next")
    repo = Repository.create(tmp_path / "t.git")
    repo.exchange.import_branch(user, "trunk/next")
    sh(tmp_path, "clone", "-q", str(repo.path), "clone")
    assert sh(tmp_path / "clone", "branch", "--show-current") == "trunk/next"


@pytest.mark.parametrize("branch", ["fix/#12+\N{LATIN SMALL LETTER U WITH DIAERESIS}", "a$b'c", "x@y/(z)"])
def test_a_branch_of_any_name_that_git_has_is_imported_cloned_and_exported(
    tmp_path: Path, user: Path, branch: str
):
    sh(user, "checkout", "-q", "-b", branch)
    repo = Repository.create(tmp_path / "t.git")
    first = repo.exchange.import_branch(user, branch).commit
    assert repo.refs.branch_tip(branch) == first and repo.refs.tips("refs/heads") == {
        f"refs/heads/{branch}": first
    }
    repo.refs.pack()
    assert repo.refs.branch_tip(branch) == first
    assert len(repo.commits.log(branch, limit=1)) == 1
    sh(tmp_path, "clone", "-q", "--branch", branch, str(repo.path), "clone")
    assert sh(tmp_path / "clone", "branch", "--show-current") == branch
    repo.exchange.export_branch(user, branch)
    assert sh(user, "rev-parse", f"refs/remotes/harness/{branch}") == first


def test_import_says_what_is_missing(repo: Repository, user: Path, tmp_path: Path):
    with pytest.raises(NoSuchBranch, match="nowhere"):
        repo.exchange.import_branch(user, "nowhere")
    with pytest.raises(NoSuchBranch, match="nowhere"):
        repo.refs.branch_tip("nowhere")
    with pytest.raises(GitFailed, match="cannot be read"):
        repo.exchange.import_branch(tmp_path / "no-repository", "main")
    commit_files(user, {"readme": "more\n"})
    sh(tmp_path, "clone", "-q", "--depth=1", f"file://{user}", "shallow")
    with pytest.raises(GitFailed, match="unshallow"):
        Repository.create(tmp_path / "s.git").exchange.import_branch(tmp_path / "shallow", "main")


@pytest.mark.parametrize("branch", ["a:b", "a b", "*", "-x/../y", "a..b", "x.lock"])
def test_a_branch_that_would_be_something_else_to_git_is_refused(repo: Repository, user: Path, branch: str):
    with pytest.raises(ValueError, match="not a ref"):
        repo.exchange.import_branch(user, branch)


def test_a_bare_source_and_a_linked_work_tree_can_be_imported(tmp_path: Path, user: Path):
    sh(tmp_path, "clone", "-q", "--bare", str(user), "bare.git")
    sh(user, "worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    repo = Repository.create(tmp_path / "t.git")
    assert repo.exchange.import_branch(tmp_path / "bare.git", "main").changed
    assert repo.exchange.import_branch(tmp_path / "linked", "side").changed


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_repository_of_somebody_elses_can_be_imported_and_exported_to(tmp_path: Path, user: Path):
    for path in (user, *user.rglob("*")):
        os.chown(path, 54321, 54321, follow_symlinks=False)
    assert (
        "dubious ownership"
        in subprocess.run(["git", "-C", user, "log"], capture_output=True, text=True, env=CLEAN).stderr
    )
    repo = Repository.create(tmp_path / "t.git")
    repo.exchange.import_branch(user, "main")
    repo.exchange.export_branch(user, "main")
    assert (user / ".git/refs/remotes/harness/main").read_text().strip() == repo.refs.branch_tip("main")


def test_export_shows_main_and_leaves_the_user_alone(repo: Repository, user: Path, tmp_path: Path):
    for hook in ("pre-receive", "update", "post-update", "reference-transaction"):
        path = user / ".git/hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\nexit 1\n")
        path.chmod(0o755)
    (user / "readme").write_text("uncommitted\n")
    before = (repo.refs.branch_tip("main"), sh(user, "status", "--porcelain"))
    ahead = repo.commits.create(repo.objects.tree_of(before[0]), [before[0]], "landed", "claude-1", 1)
    for tip in (ahead, before[0]):  # also backwards: it mirrors ours
        repo.refs.put("refs/heads/main", tip)
        repo.exchange.export_branch(user, "main")
        assert sh(user, "rev-parse", "refs/remotes/harness/main") == tip
    assert (sh(user, "rev-parse", "main"), sh(user, "status", "--porcelain")) == before
    assert not (tmp_path / "ran").exists()


def test_export_to_what_cannot_be_written_fails_cleanly(repo: Repository, user: Path, tmp_path: Path):
    with pytest.raises(GitFailed):
        repo.exchange.export_branch(tmp_path, "main")
    (user / ".git/refs/remotes").write_text("in the way")
    with pytest.raises(GitFailed):
        repo.exchange.export_branch(user, "main")


# -- refs and commits


def test_compare_and_swap_moves_only_from_the_old_value(repo: Repository):
    base = repo.refs.branch_tip("main")
    new = repo.commits.create(repo.objects.tree_of(base), [base], "new", "claude-1", 1)
    assert not repo.refs.compare_and_swap("refs/heads/main", new, new)
    assert not repo.refs.compare_and_swap("refs/heads/main", new, ZERO)
    assert repo.refs.branch_tip("main") == base
    assert repo.refs.compare_and_swap("refs/heads/main", new, base)
    assert repo.refs.compare_and_swap("refs/landed/1", new, ZERO)
    assert repo.refs.tips("refs/") == {"refs/heads/main": new, "refs/import/main": base, "refs/landed/1": new}


def test_of_many_racing_landers_one_wins_each_round(repo: Repository):
    base, racers = repo.refs.branch_tip("main"), 6
    with ThreadPoolExecutor(racers) as pool:
        for turn in range(3):
            start = threading.Barrier(racers)
            made = [
                repo.commits.create(repo.objects.tree_of(base), [base], f"{turn} {i}", "claude-1", 1)
                for i in range(racers)
            ]

            def land(new: str, start=start, base=base) -> bool:
                start.wait(BOUND_S)
                return repo.refs.compare_and_swap("refs/heads/main", new, base)

            won = [new for new, moved in zip(made, pool.map(land, made), strict=True) if moved]
            assert won == [repo.refs.branch_tip("main")]
            base = won[0]


def test_a_swap_that_fails_for_another_reason_is_a_failure_not_a_no(repo: Repository):
    base = repo.refs.branch_tip("main")
    with pytest.raises(GitFailed):
        repo.refs.compare_and_swap("refs/heads/main/below", base, ZERO)


def test_the_same_commit_arguments_give_the_same_id(repo: Repository):
    base = repo.refs.branch_tip("main")
    message = "add joins\n\nwhy\n\nTask: T1\nAgent: claude-1\n"
    made = [
        repo.commits.create(repo.objects.tree_of(base), [base], message, "claude-1", 1_700_000_000)
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert (
        repo.commits.create(repo.objects.tree_of(base), [base], message, "claude-1", 1_700_000_001) != made[0]
    )
    assert "claude-1 <claude-1@harness.invalid>" in sh(repo.path, "cat-file", "commit", made[0])


def test_log_reads_back_what_was_written(repo: Repository):
    base = repo.refs.branch_tip("main")
    message = "add joins\n\nwhy: not a trailer\n\nTask: T1\nAgent: x: y\u2028Fence: 9\n"
    side = repo.commits.create(repo.objects.tree_of(base), [base], "side", "codex-1", 5)
    head = repo.commits.create(repo.objects.tree_of(base), [base, side], message, "claude-1", 1_700_000_000)
    assert repo.refs.compare_and_swap("refs/heads/main", head, base)
    newest, oldest = repo.commits.log("main")
    assert (newest.commit, newest.tree, newest.parents) == (head, repo.objects.tree_of(base), (base, side))
    assert (newest.author, newest.subject, newest.when_s) == ("claude-1", "add joins", 1_700_000_000)
    assert newest.trailers == {"Task": "T1", "Agent": "x: y\u2028Fence: 9"}
    assert oldest.commit == base and oldest.trailers == {}
    assert {info.commit for info in repo.commits.log("main", first_parent=False)} == {head, side, base}
    assert [info.commit for info in repo.commits.log("main", limit=1)] == [head]


def test_resolve_takes_only_what_is_surely_one_commit(repo: Repository, user: Path):
    head = repo.refs.branch_tip("main")
    assert repo.commits.resolve(head) == repo.commits.resolve(head[:10]) == head
    repo.refs.put("refs/heads/" + "abcdef1", head)  # git itself would take this for the branch
    for wrong in (
        "abcdef1",
        "HEAD",
        "main",
        "--all",
        "",
        head[:4],
        head.upper(),
        head + "\n",
        "f" * 40,
        repo.objects.tree_of(head),
    ):
        assert repo.commits.resolve(wrong) is None, wrong


def test_an_agent_has_main_and_its_own_commits_and_no_others(repo: Repository, user: Path):
    base = repo.refs.branch_tip("main")
    mine = commit_files(user, {"a/one.txt": "mine\n"})
    upload(repo, user, "claude-1", "deep/er")
    other = commit_files(user, {"a/one.txt": "other\n"})
    upload(repo, user, "claude-10")
    loose = repo.commits.create(repo.objects.tree_of(base), [base], "on no ref", "claude-1", 1)
    held = {
        agent: [repo.commits.agent_has(agent, c) for c in (base, mine, other, loose)]
        for agent in ("claude-1", "claude-10", "new-1")
    }
    assert held["claude-1"] == [True, True, False, False]
    assert held["claude-10"] == [True, True, True, False]
    assert held["new-1"] == [True, False, False, False]
    assert not repo.commits.agent_has("claude-1", "f" * 40)
    with pytest.raises(ValueError, match="agent"):
        repo.commits.agent_has("*", base)


def test_a_refs_name_cannot_break_the_list_of_refs(repo: Repository):
    head = repo.refs.branch_tip("main")
    name = "refs/agents/a/x\u2028\u0085y\x1c".rstrip("\x1c")
    repo.refs.put(name, head)
    assert repo.refs.tips("refs/agents/a/") == {name: head}
    assert repo.refs.tips("refs/agents/") == {name: head}
    assert repo.refs.tips("refs/agent") == {}


@pytest.mark.parametrize("bad", ["", "HEAD", "--help", "main", "a" * 39, "A" * 40, "a" * 40 + "\n"])
def test_nothing_but_a_full_id_reaches_gits_command_line(repo: Repository, bad: str):
    for use in (
        repo.objects.ls_tree,
        repo.objects.blob_size,
        repo.objects.tree_of,
        lambda oid: repo.merging.merge(oid, oid),
        lambda oid: repo.objects.read(oid, "a"),
    ):
        with pytest.raises(ValueError, match="object id"):
            use(bad)


# -- merging


def branch_off(user: Path, base: str, files: dict[str, str | None]) -> str:
    sh(user, "checkout", "-q", "--detach", base)
    return commit_files(user, files)


def both(repo: Repository, user: Path, ours: dict[str, str | None], theirs: dict[str, str | None]):
    base = sh(user, "rev-parse", "HEAD")
    commits = []
    for agent, files in (("a-1", ours), ("a-2", theirs)):
        commits.append(branch_off(user, base, files))
        upload(repo, user, agent)
    return repo.merging.merge(*commits)


def test_changes_to_different_files_merge(repo: Repository, user: Path):
    merged = both(repo, user, {"a/one.txt": "ours\n"}, {"b/two.txt": "theirs\n"})
    assert isinstance(merged, Merged)
    assert (repo.objects.read(merged.tree, "a/one.txt"), repo.objects.read(merged.tree, "b/two.txt")) == (
        b"ours\n",
        b"theirs\n",
    )


def test_contradicting_changes_conflict_and_name_their_paths(repo: Repository, user: Path):
    merged = both(
        repo, user, {"a/one.txt": "ours\n", "b/two.txt": "o\n"}, {"a/one.txt": "theirs\n", "b/two.txt": "t\n"}
    )
    assert merged == Conflict(("a/one.txt", "b/two.txt"))


def test_histories_without_a_common_commit_conflict(repo: Repository, user: Path):
    orphan = repo.commits.create(
        repo.objects.tree_of(repo.refs.branch_tip("main")), [], "orphan", "claude-1", 1
    )
    assert repo.merging.merge(repo.refs.branch_tip("main"), orphan) == Conflict(())


def test_renaming_a_directory_does_not_carry_anothers_new_file_along(repo: Repository, user: Path):
    commit_files(user, {f"mod/{i}.txt": f"{i}\n" * 20 for i in range(4)})
    moved = {f"mod/{i}.txt": None for i in range(4)} | {f"other/sub/{i}.txt": f"{i}\n" * 20 for i in range(4)}
    merged = both(repo, user, moved, {"mod/new.txt": "new\n"})
    assert isinstance(merged, Merged)
    assert repo.objects.read(merged.tree, "mod/new.txt") == b"new\n"
    assert repo.objects.read(merged.tree, "other/sub/new.txt") is None


def test_a_change_does_not_follow_a_file_that_another_moved(repo: Repository, user: Path):
    """It would land at a path that its own author never touched, and perhaps may not."""
    commit_files(user, {"a/long.txt": "line\n" * 30})
    moved = {"a/long.txt": None, "b/long.txt": "line\n" * 30}
    changed = {"a/long.txt": "line\n" * 29 + "changed\n"}
    for ours, theirs in ((moved, changed), (changed, moved)):
        merged = both(repo, user, ours, theirs)
        assert isinstance(merged, Conflict) and "a/long.txt" in merged.paths
        sh(user, "checkout", "-q", "main")


def test_what_both_did_alike_and_what_one_did_alone_merges(repo: Repository, user: Path):
    commit_files(user, {f"m/{i}": f"{i}\n" * 9 for i in range(6)})
    alike = {"m/0": None, "m/1": "alike\n", "new": "n\n"}
    ours = alike | {"m/2": None, "m/3": "ours\n" + "3\n" * 9}
    theirs = alike | {"m/3": "3\n" * 9 + "theirs\n", "m/4": None, "moved/5": "5\n" * 9, "m/5": None}
    merged = both(repo, user, ours, theirs)
    assert isinstance(merged, Merged)
    assert repo.objects.read(merged.tree, "m/3") == b"ours\n" + b"3\n" * 9 + b"theirs\n"
    left = {entry.path for entry in repo.objects.ls_tree(merged.tree)} - {"a/one.txt", "b/two.txt", "readme"}
    assert left == {"m/1", "m/3", "moved/5", "new"}


def test_a_criss_cross_history_merges(repo: Repository, user: Path):
    base = sh(user, "rev-parse", "HEAD")
    one, two = branch_off(user, base, {"a/one.txt": "one\n"}), branch_off(user, base, {"b/two.txt": "two\n"})
    crossed = []
    for first, second, name in ((one, two, "x"), (two, one, "y")):
        sh(user, "checkout", "-q", "--detach", first)
        sh(user, "merge", "-q", "--no-ff", "-m", "cross", second)
        crossed.append(
            commit_files(user, {name: name, "readme" if name == "x" else "b/two.txt": f"{name}\n"})
        )
        upload(repo, user, name=name)
    merged = repo.merging.merge(*crossed)
    assert isinstance(merged, Merged)
    assert repo.objects.read_many([(merged.tree, path) for path in ("x", "y", "readme", "b/two.txt", "a/one.txt")]) == [
        b"x", b"y", b"x\n", b"y\n", b"one\n"
    ]  # fmt: skip


def test_attributes_cannot_turn_a_conflict_into_a_merge(repo: Repository, user: Path):
    commit_files(user, {".gitattributes": "* merge=union\n"})
    assert isinstance(both(repo, user, {"a/one.txt": "ours\n"}, {"a/one.txt": "theirs\n"}), Conflict)


def test_is_ancestor(repo: Repository):
    base = repo.refs.branch_tip("main")
    child = repo.commits.create(repo.objects.tree_of(base), [base], "child", "claude-1", 1)
    assert (
        repo.commits.is_ancestor(base, child)
        and repo.commits.is_ancestor(base, base)
        and not repo.commits.is_ancestor(child, base)
    )
    with pytest.raises(GitFailed):
        repo.commits.is_ancestor("f" * 40, child)


# -- trees and files


def test_diff_tells_each_path_with_its_modes(repo: Repository, user: Path):
    base = repo.refs.branch_tip("main")
    (user / "readme").unlink()
    (user / "readme").symlink_to("a/one.txt")
    (user / "a/one.txt").chmod(0o755)
    odd = "b/\u00e9 \t\n\"'.txt"
    commit_files(user, {odd: "odd\n", "b/two.txt": None})
    changes = {change.path: change for change in repo.objects.diff(base, upload(repo, user))}
    assert {path: change.status for path, change in changes.items()} == {
        "readme": "T",
        "a/one.txt": "M",
        odd: "A",
        "b/two.txt": "D",
    }
    assert (changes["a/one.txt"].old_mode, changes["a/one.txt"].new_mode) == ("100644", "100755")
    assert repo.objects.symlink_target(changes["readme"].new_oid) == "a/one.txt"
    assert repo.objects.blob_size(changes[odd].new_oid) == 4


def test_a_rename_is_a_deletion_and_an_addition(repo: Repository, user: Path):
    base = repo.refs.branch_tip("main")
    sh(user, "mv", "a/one.txt", "b/moved.txt")
    head = commit_files(user, {})
    upload(repo, user)
    assert sorted((change.status, change.path) for change in repo.objects.diff(base, head)) == [
        ("A", "b/moved.txt"),
        ("D", "a/one.txt"),
    ]


def test_read_many_keeps_the_order_and_tells_what_is_missing(repo: Repository, user: Path):
    odd = "b/new\nline"
    commit_files(user, {odd: "odd\n", "empty": ""})
    head = upload(repo, user)
    wanted = ["readme", "no\nsuch", odd, "a", "empty", "b/two.txt", "", "../readme", "a\0b"]
    assert repo.objects.read_many([(head, path) for path in wanted]) == [
        b"hello\n",
        None,
        b"odd\n",
        None,
        b"",
        b"x\n",
        None,
        None,
        None,
    ]
    assert repo.objects.read_many([]) == []
    assert repo.objects.read(repo.objects.tree_of(head), "readme") == b"hello\n"


def members(packed: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        return {member.name: member for member in tar.getmembers()}


def test_the_archive_holds_the_chosen_files_and_no_more(repo: Repository, user: Path, tmp_path: Path):
    (user / "a/link").symlink_to("../readme")
    commit_files(user, {"a/run.sh": "#!/bin/sh\n", "oracle/case.sql": "select 1;\n", "a/\u00e9.txt": "e\n"})
    (user / "a/run.sh").chmod(0o755)
    head = (
        upload(repo, user)
        if not sh(user, "status", "--porcelain")
        else (commit_files(user, {}), upload(repo, user))[1]
    )
    packed = repo.files.archive(head, ["a/**", "oracle/**"], ["oracle/**"])
    found = members(packed)
    assert set(found) == {"a/one.txt", "a/run.sh", "a/link", "a/\u00e9.txt"}
    assert found["a/link"].linkname == "../readme"
    assert (found["a/run.sh"].mode, found["a/one.txt"].mode, found["a/one.txt"].mtime) == (0o755, 0o644, 0)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        tar.extractall(tmp_path / "out", filter="data")
    assert (tmp_path / "out/a/one.txt").read_text() == "1\n2\n3\n"
    assert repo.files.archive(repo.objects.tree_of(head), ["a/**"], []) == packed


def test_equal_keys_mean_equal_archives(repo: Repository, user: Path):
    def both_of(head: str) -> tuple[str, bytes]:
        return repo.files.key(head, ["**"], ["readme"]), repo.files.archive(head, ["**"], ["readme"])

    first = both_of(repo.refs.branch_tip("main"))
    commit_files(user, {"readme": "not read\n"})
    assert both_of(upload(repo, user)) == first
    (user / "a/one.txt").chmod(0o755)
    commit_files(user, {})
    executable = both_of(upload(repo, user))
    commit_files(user, {"a/one.txt": "4\n"})
    changed = both_of(upload(repo, user))
    assert len({first, executable, changed}) == len({key for key, _ in (first, executable, changed)}) == 3


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        (("160000", "1" * 40, b"sub"), HazardKind.GITLINK),
        (("120000", b"/etc/passwd", b"link"), HazardKind.SYMLINK),
    ],
)
def test_a_tree_that_cannot_be_files_is_not_archived(repo: Repository, entry, kind: HazardKind):
    bad = tree(repo, [entry, ("100644", b"fine\n", b"z")])
    with pytest.raises(HostileTree) as hostile:
        repo.files.archive(bad, ["**"], [])
    assert [hazard.kind for hazard in hostile.value.hazards] == [kind]
    assert set(members(repo.files.archive(bad, ["**"], [entry[2].decode()]))) == {"z"}


def test_a_tree_bomb_is_cut_off(repo: Repository):
    main = repo.refs.branch_tip("main")
    bomb = tree(repo, [("100644", b"x", b"%02d" % i) for i in range(16)])
    for _ in range(9):  # 16 ** 10 files
        bomb = tree(repo, [("40000", bomb, b"%02d" % i) for i in range(16)])
    commit = repo.commits.create(bomb, [main], "bomb", "claude-1", 1)
    for use in (
        lambda: repo.objects.ls_tree(commit),
        lambda: repo.objects.diff(main, commit),
        lambda: repo.merging.merge(main, commit),
    ):
        with pytest.raises(GitOutputTooLarge):
            use()
    until(lambda: not git_processes(repo), "git to be gone")


def git_processes(repo: Repository) -> list[str]:
    """Running processes that name the repository; a zombie has no command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:  # it has just ended
            continue
        if f"--git-dir={repo.path}".encode() in line:
            found.append(line.decode())
    return found


def test_repack_joins_packs_and_loses_nothing(repo: Repository, user: Path):
    heads = []
    for number in range(4):
        heads.append(commit_files(user, {"readme": f"{number}\n"}))
        upload(repo, user, name=f"s{number}")
    loose = repo.commits.create(repo.objects.tree_of(heads[0]), [], "on no ref", "claude-1", 1)
    packs = len(list(repo.path.glob("objects/pack/*.pack")))
    repo.upkeep.repack()
    assert len(list(repo.path.glob("objects/pack/*.pack"))) < packs
    assert [repo.commits.resolve(oid) for oid in (*heads, loose)] == [*heads, loose]
    assert repo.refs.tips("refs/agents/") == {
        f"refs/agents/claude-1/s{i}": head for i, head in enumerate(heads)
    }


# -- hostile trees

HOSTILE = [
    (("160000", "1" * 40, b"sub"), HazardKind.GITLINK),
    (("120000", b"/etc/passwd", b"link"), HazardKind.SYMLINK),
    (("120000", b"../outside", b"link"), HazardKind.SYMLINK),
    (("120000", b"a/../../outside", b"link"), HazardKind.SYMLINK),
    (("120000", b".git/hooks", b"link"), HazardKind.SYMLINK),
    (("120000", b"x/" * 800, b"link"), HazardKind.SYMLINK),
    (("120000", b"", b"link"), HazardKind.SYMLINK),
    (("100644", b"x", b".git"), HazardKind.GIT_CONFIG),
    (("100644", b"x", b".GIT"), HazardKind.GIT_CONFIG),
    (("100644", b"x", b"git~1"), HazardKind.GIT_CONFIG),
    (("100644", b"x", ".g\u200cit".encode()), HazardKind.GIT_CONFIG),
    (("100644", b"* merge=union", b".gitattributes"), HazardKind.GIT_CONFIG),
    (("100644", b"x", b".gitmodules"), HazardKind.GIT_CONFIG),
    (("100644", b"x", b"README"), HazardKind.COLLISION),
    (("100644", b"x", b"caf\xc3\xa9"), HazardKind.COLLISION),
    (("100644", b"x", b"bad\xff"), HazardKind.NAME),
    (("100644", b"x", b"new\nline"), HazardKind.NAME),
    (("100644", b"x", b"n" * 1025), HazardKind.NAME),
    (("100644", b"x" * (git_tree.FILE_BYTES_MAX + 1), b"large"), HazardKind.TOO_LARGE),
]
PLAIN = [("100644", b"x", b"readme"), ("100644", b"x", "cafe\u0301".encode()), ("40000", b"", b"empty")]
HARMLESS = [
    ("100644", b"x", b"fine.txt"),
    ("100755", b"#!/bin/sh\n", b"run"),
    ("120000", b"fine.txt", b"link"),
    ("100644", b"x" * git_tree.FILE_BYTES_MAX, b"large"),
    ("100644", b"x", b".github"),
    ("100644", b"x", b"git"),
]


@pytest.mark.parametrize(
    ("entry", "kind"), HOSTILE, ids=lambda value: value if isinstance(value, str) else None
)
def test_a_hazard_is_named(repo: Repository, entry, kind: HazardKind):
    before, after = tree(repo, PLAIN[:2]), tree(repo, [*PLAIN[:2], entry])
    found = repo.objects.hazards(repo.objects.diff(before, after), after)
    assert [hazard.kind for hazard in found] == [kind]
    assert found[0].path == entry[2].decode("utf-8", "surrogateescape")


@pytest.mark.parametrize("entry", HARMLESS, ids=lambda entry: entry[2].decode())
def test_a_harmless_change_has_no_hazard(repo: Repository, entry):
    before, after = tree(repo, PLAIN[:2]), tree(repo, [*PLAIN[:2], entry])
    assert repo.objects.hazards(repo.objects.diff(before, after), after) == []


def test_taking_a_hazard_away_is_none_but_git_configuration_stays_closed(repo: Repository):
    before = tree(
        repo,
        [*PLAIN[:2], ("120000", b"/etc", b"link"), ("100644", b"x", b"README"), ("160000", "1" * 40, b"sub")],
    )
    after = tree(repo, PLAIN[:2])
    assert repo.objects.hazards(repo.objects.diff(before, after), after) == []
    attributes = tree(repo, [*PLAIN[:2], ("100644", b"x", b".gitattributes")])
    assert [hazard.kind for hazard in repo.objects.hazards(repo.objects.diff(attributes, after), after)] == [
        HazardKind.GIT_CONFIG
    ]


def test_what_collides_in_the_users_own_tree_is_not_the_agents_fault(repo: Repository):
    collided = [("100644", b"x", b"README"), ("100644", b"x", b"readme")]
    before, after = tree(repo, collided), tree(repo, [*collided, ("100644", b"x", b"z")])
    assert repo.objects.hazards(repo.objects.diff(before, after), after) == []


def test_directories_collide_too(repo: Repository):
    inner = tree(repo, [("100644", b"x", b"f")])
    before = tree(repo, [("40000", inner, b"src")])
    after = tree(repo, [("40000", inner, b"SRC"), ("40000", inner, b"src")])
    found = repo.objects.hazards(repo.objects.diff(before, after), after)
    assert (HazardKind.COLLISION, "SRC") in [(hazard.kind, hazard.path) for hazard in found]


STEPS = st.lists(st.sampled_from(["..", "a", "b", "l1", "l2", "."]), min_size=1, max_size=5).map("/".join)


@settings(max_examples=150, deadline=None)
@given(targets=st.tuples(STEPS, STEPS, STEPS, STEPS))
def test_links_that_stay_inside_never_lead_out_together(tmp_path_factory: pytest.TempPathFactory, targets):
    """The file system is the judge: whatever links the rule accepts, following any of them ends below the
    root.
    """
    root = Path(os.path.realpath(tmp_path_factory.mktemp("root"))) / "tree"
    (root / "a/b/a").mkdir(parents=True)
    (root / "b").mkdir()
    links = [name for name in ("l1", "a/l1", "a/b/l2", "a/b/a/l1")]
    made = [name for name, target in zip(links, targets, strict=True) if git_tree.stays_inside(name, target)]
    for name in made:
        (root / name).symlink_to(targets[links.index(name)])
    for name in made:
        end = os.path.realpath(root / name)
        assert end == str(root) or end.startswith(f"{root}/"), (targets, name, end)
