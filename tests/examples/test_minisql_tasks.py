"""The tasks of minisql: what they need, own and name, as promises that the swarm relies on."""
from fnmatch import fnmatchcase

from . import minisql_tree

TASKS_MIN = 16
CASES_MIN = 300
AGENTS = 6


def inside(path, globs):
    return any(fnmatchcase(path, glob) for glob in globs)


def test_there_are_enough_tasks_and_cases(tasks, scripts):
    assert len(tasks) >= TASKS_MIN
    assert len(scripts) >= CASES_MIN


def test_needs_name_tasks_and_have_no_cycle(tasks):
    done = set()
    while ready := {task.id for task in tasks.values() if task.id not in done and set(task.needs) <= done}:
        done |= ready
    assert done == set(tasks)


def test_as_many_tasks_as_agents_are_open_at_the_start(tasks):
    assert sum(not task.needs for task in tasks.values()) >= AGENTS


def test_every_module_has_tasks_of_its_own(tasks):
    assert {task.module for task in tasks.values()} == set(minisql_tree.config()["modules"])


def test_every_solution_lies_in_its_tasks_paths_and_its_module(tasks):
    modules = minisql_tree.config()["modules"]
    for task in tasks.values():
        for file in minisql_tree.files(task.id):
            assert inside(file, task.paths), (task.id, file)
            assert inside(file, modules[task.module]["paths"]), (task.id, file)


def test_no_two_solutions_touch_one_file(tasks):
    owner = {}
    for task in tasks:
        for file in minisql_tree.files(task):
            assert owner.setdefault(file, task) == task, file


def test_unfinished_and_broken_materials_touch_what_their_task_does():
    for kind in ("half", "broken"):
        for material in sorted((minisql_tree.SOLUTIONS / kind).iterdir()):
            assert set(minisql_tree.files(f"{kind}/{material.name}")) <= set(minisql_tree.files(material.name)), material


def test_every_case_belongs_to_one_task_or_to_the_start(tasks, scripts):
    for case in scripts:
        owners = [task.id for task in tasks.values() if case in minisql_tree.named(task, scripts)]
        assert len(owners) == (0 if case.startswith("start/") else 1), (case, owners)


def test_every_task_names_cases_and_explains_itself(tasks, scripts):
    for task in tasks.values():
        assert task.suite == "sql" and minisql_tree.named(task, scripts), task.id
        assert len(task.brief) > 100, task.id


def test_no_case_is_passed_by_an_engine_that_says_nothing(scripts, reference):
    assert [case for case in scripts if not reference[case][0].strip()] == []


def test_a_case_that_ends_in_an_error_is_meant_to(scripts, reference):
    failing = {case for case in scripts if reference[case][1] != 0}
    unexpected = {case for case in failing if "is-an-error" not in case and not case.startswith("constraints/")}
    assert unexpected == set()


def test_sources_of_the_example_are_python_that_compiles(tasks):
    for root in (minisql_tree.PROJECT, minisql_tree.SOLUTIONS):
        for file in root.rglob("*.py"):
            compile(file.read_text(), str(file), "exec")
