"""The playbooks of minisql: well formed, about things that exist, and free of deadlock in whatever order the
agents run.
"""
import random
import re
import tomllib

from . import minisql_tree
import pytest
from .minisql_board import Agent, Board

AGENTS = ("claude-1", "claude-2", "codex-1", "codex-2", "gemini-1", "gemini-2")
VERBS = {"call", "shell", "apply", "commit", "note", "await_note", "await_task", "say", "hang", "work", "resume"}
BESIDE = {
    "call": {"args", "expect", "save"}, "shell": {"expect_exit"}, "note": {"text"}, "await_note": {"timeout_s"},
    "await_task": {"state", "timeout_s"},
}
STAGED = {"held", "overlap", "outside_module", "oracle_failed", "regression", "stale_fence", "git push to main"}
TURNS_MAX = 50_000  # far more than the slowest needs: stopping there is a deadlock
SEEDS = 100
WAIT_S_MAX = 180  # a slow machine takes 40 s to the first landings; sessions last 10 minutes


def steps(agent):
    return tomllib.loads((minisql_tree.PLAYBOOKS / f"{agent}.toml").read_text())["step"]


def verb(step):
    found = VERBS & set(step)
    assert len(found) == 1, step
    return found.pop()


@pytest.mark.parametrize("agent", [*AGENTS, *(f"{agent}.again" for agent in AGENTS)])
def test_every_step_is_one_verb_with_what_belongs_to_it(agent):
    for step in steps(agent):
        extra = set(step) - {verb(step), "if_status"} - BESIDE.get(verb(step), set())
        assert extra == set(), step
    assert verb(steps(agent)[-1]) in ("work", "hang")


@pytest.mark.parametrize("agent", AGENTS)
def test_playbooks_name_tasks_and_materials_that_exist(agent, tasks):
    for step in steps(agent):
        named = [step.get("await_task"), step.get("args", {}).get("task")]
        assert all(task in tasks for task in named if task is not None), step
        if "apply" in step:
            assert minisql_tree.files(step["apply"]), step


@pytest.mark.parametrize("agent", AGENTS)
def test_every_variable_was_saved_before(agent):
    saved = {"head"}
    for step in steps(agent):
        used = set(re.findall(r"\$(\w+)", str(step.get("args", "")))) | set(step.get("if_status", {})) | {step.get("resume", "head")}
        assert used <= saved, step
        saved.add(step.get("save", "head"))


@pytest.mark.parametrize("agent", AGENTS)
def test_every_wait_is_bounded_and_for_something_another_agent_writes(agent):
    written = {step["note"] for other in AGENTS if other != agent for step in steps(other) if "note" in step}
    for step in steps(agent):
        if "await_note" in step or "await_task" in step:
            assert 0 < step["timeout_s"] <= WAIT_S_MAX, step
        assert step.get("await_note") in written | {None}, step


def test_every_scripted_agent_of_the_configuration_has_its_playbooks():
    agents = {f"{kind}-{number + 1}" for kind, spec in minisql_tree.config()["agents"].items() for number in range(spec["count"])}
    assert agents == set(AGENTS)
    assert {file.stem for file in minisql_tree.PLAYBOOKS.glob("*.toml")} == agents | {f"{agent}.again" for agent in agents}


@pytest.mark.parametrize("base", range(0, SEEDS, 50))
def test_in_any_interleaving_every_accident_is_shown_and_all_tasks_are_done(base, tasks):
    for seed in range(base, base + 50):
        chance, board = random.Random(seed), Board(tasks)
        agents = [Agent(name, steps(name), steps(f"{name}.again"), board, chance) for name in AGENTS]
        slow = chance.choice(agents)  # one agent hardly ever gets on
        for _ in range(TURNS_MAX):
            agent = chance.choice(agents)
            if agent is not slow or chance.random() < 0.05:
                agent.turn()
            if board.done == set(tasks):
                break
        assert board.done == set(tasks), (seed, [(agent.name, agent.place) for agent in agents])
        assert board.refusals >= STAGED, seed
        assert [(task, first) for task, first, _ in board.taken_over] == [("T05", "gemini-2")], seed
        assert board.taken_over[0][2] != "gemini-2", seed
