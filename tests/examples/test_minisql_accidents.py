"""The accidents that the playbooks stage are real: half done, wrong, and right alone but wrong together."""
import subprocess

from . import minisql_tree
import pytest

IDENTITY = ("-c", "user.name=t", "-c", "user.email=t@example.invalid")


def git(tree, *arguments):
    ended = subprocess.run(["git", *IDENTITY, *arguments], cwd=tree, capture_output=True, text=True, check=True)
    return ended.stdout.strip()


def committed(tree, branch, material):
    """A branch from the first commit with one material applied."""
    git(tree, "checkout", "-q", "-B", branch, "start")
    minisql_tree.apply(tree, material)
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", material)


@pytest.fixture
def repository(scaffold):
    git(scaffold, "init", "-q", "-b", "start")
    git(scaffold, "add", "-A")
    git(scaffold, "commit", "-q", "-m", "start")
    return scaffold


def passing_at(repository, commit, scripts, reference, tmp_path):
    tree = tmp_path / commit
    git(repository, "worktree", "add", "-q", "--detach", str(tree), commit)
    return minisql_tree.passing(tree, scripts, reference)


def merged(repository, ours, theirs):
    """The commit that merges two branches; git refuses a textual conflict."""
    tree = git(repository, "merge-tree", "--write-tree", ours, theirs)
    return git(repository, "commit-tree", tree, "-p", ours, "-p", theirs, "-m", "merge")


def test_two_changes_pass_alone_merge_cleanly_and_break_together(repository, tasks, scripts, reference, tmp_path):
    start = passing_at(repository, "start", scripts, reference, tmp_path)
    committed(repository, "arithmetic", "T02")
    committed(repository, "literals", "broken/T01")
    arithmetic = passing_at(repository, "arithmetic", scripts, reference, tmp_path)
    literals = passing_at(repository, "literals", scripts, reference, tmp_path)
    assert start <= arithmetic and minisql_tree.named(tasks["T02"], scripts) <= arithmetic
    assert start <= literals and minisql_tree.named(tasks["T01"], scripts) <= literals
    together = passing_at(repository, merged(repository, "arithmetic", "literals"), scripts, reference, tmp_path)
    assert minisql_tree.named(tasks["T01"], scripts) <= together, "the second task's own cases must pass: it is a regression"
    assert arithmetic - together == minisql_tree.named(tasks["T02"], scripts)


def test_the_second_change_lands_once_the_old_name_is_back(repository, scripts, reference, tmp_path):
    committed(repository, "arithmetic", "T02")
    committed(repository, "literals", "broken/T01")
    minisql_tree.apply(repository, "T01")
    git(repository, "commit", "-q", "-a", "-m", "the old name")
    before = passing_at(repository, "arithmetic", scripts, reference, tmp_path)
    after = passing_at(repository, merged(repository, "arithmetic", "literals"), scripts, reference, tmp_path)
    assert before < after


def test_all_tasks_open_at_the_start_merge_cleanly(repository, tasks):
    roots = [task.id for task in tasks.values() if not task.needs]
    for task in roots:
        committed(repository, task, task)
    main = "start"
    for task in roots:
        main = merged(repository, main, task)


def test_the_wrong_tables_fail_cases_that_their_task_names(scaffold, tasks, scripts, reference):
    minisql_tree.apply(scaffold, "broken/T04")
    passing = minisql_tree.passing(scaffold, scripts, reference)
    named = minisql_tree.named(tasks["T04"], scripts)
    assert named - passing and named & passing, "wrong in part, as a real mistake is"


@pytest.mark.parametrize("task", ["T05", "T06"])
def test_half_of_a_task_passes_some_of_its_cases(task, scaffold, tasks, scripts, reference):
    minisql_tree.apply(scaffold, f"half/{task}")
    named = minisql_tree.named(tasks[task], scripts)
    assert set() < named & minisql_tree.passing(scaffold, scripts, reference) < named
