"""The engine of minisql grows with every task, in any order that respects the needs, and ends at all cases.
"""
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from . import minisql_tree
import pytest

SCAFFOLD_PASSING_MAX = 5  # "near 0" of more than 300
ORDERS = (1, 2, 3, 4)


def random_order(tasks, seed):
    chance, done, order = random.Random(seed), set(), []
    while len(order) < len(tasks):
        ready = sorted(task.id for task in tasks.values() if task.id not in done and set(task.needs) <= done)
        order.append(chance.choice(ready))
        done.add(order[-1])
    return order


def with_needs(tasks, task):
    """The task and all it needs, needs first."""
    found = []
    for needed in tasks[task].needs:
        found += [each for each in with_needs(tasks, needed) if each not in found]
    return [*found, task]


def test_the_scaffold_runs_and_passes_next_to_nothing(scaffold, scripts, reference):
    passing = minisql_tree.passing(scaffold, scripts, reference)
    assert 1 <= len(passing) <= SCAFFOLD_PASSING_MAX
    assert all(case.startswith("start/") for case in passing)


@pytest.mark.parametrize("seed", ORDERS)
def test_every_task_passes_its_cases_and_breaks_none(seed, tasks, scaffold, scripts, reference):
    before = minisql_tree.passing(scaffold, scripts, reference)
    for task in random_order(tasks, seed):
        minisql_tree.apply(scaffold, task)
        now = minisql_tree.passing(scaffold, scripts, reference)
        assert minisql_tree.named(tasks[task], scripts) - now == set(), task
        assert before - now == set(), task
        before = now
    assert before == set(scripts)


def test_every_task_passes_its_cases_with_only_what_it_needs(tasks, tmp_path, scripts, reference):
    for task in tasks:
        tree = minisql_tree.copy_project(tmp_path / task)
        for each in with_needs(tasks, task):
            minisql_tree.apply(tree, each)
        named = minisql_tree.named(tasks[task], scripts)
        only = {case: scripts[case] for case in named}
        assert minisql_tree.passing(tree, only, reference) == named, task


def test_the_finished_engine_answers_as_sqlite3_does_as_the_oracle_runs_it(tasks, scaffold, scripts, reference):
    """The suite's own build and candidate command, one process for each case."""
    for task in tasks:
        minisql_tree.apply(scaffold, task)
    suite = minisql_tree.config()["oracle"]["sql"]
    build, candidate = (command.replace("python3", sys.executable, 1) for command in (suite["build"], suite["candidate"]))
    subprocess.run(build, shell=True, cwd=scaffold, check=True)
    with ThreadPoolExecutor(2) as pool:
        answers = dict(zip(scripts, pool.map(lambda script: minisql_tree.run_script(candidate, script, scaffold), scripts.values())))
    assert {case: (answers[case], reference[case]) for case in scripts if answers[case] != reference[case]} == {}
