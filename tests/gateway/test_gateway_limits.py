"""Every limit of every scope, from the note at 80 % to the task that goes back; and limits of time within
answers.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mcp_server.models.budgets import MEASURES, Scope
from tests.fake_models import FOR_EVER, FakeModels, Fault, Script, Step, Usage
from tests.server import toy
from tests.server.conftest import Agent
from tests.waiting import until

from .place import Place, Request, asking, place

STEP = Step("one two three four", usage=Usage(input=1000, output=100), deltas=4)
TABLES = {
    Scope.SESSION: "gateway.budget.session",
    Scope.TASK: "gateway.budget.task",
    Scope.AGENT: "gateway.budget.agent",
    Scope.RUN: "gateway.budget",
}
LIMITS = {
    "tokens": 5400,
    "cost_usd": 0.022,
    "requests": 5,
    "minutes": 5,
}  # four times `spend` is 80 %, five times 100 %
assert set(LIMITS) == set(MEASURES)


@contextmanager
def limited(root: Path, table: str, measure: str, limit: float, step: Step = STEP) -> Iterator[Place]:
    toml = toy.TOML.replace("lease_minutes = 1", "lease_minutes = 60")
    with (
        FakeModels(Script((step,), turns="any")) as models,
        place(root, models, gateway=f"[{table}]\n{measure} = {limit}", toml=toml) as made,
    ):
        yield made


def spend(made: Place, agent: Agent, measure: str) -> int:
    """1,100 tokens, 0.0045 USD, one request; or one minute more. The status of the answer."""
    if measure == "minutes":
        made.server.clock.ahead_ms += 60_000
    return made.ask(agent, asking("messages", stream=False)).status_code


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("scope", Scope)
def test_a_limit_is_told_at_80_percent_and_at_100_refuses_and_gives_the_task_back_with_its_work(
    tmp_path: Path, scope: Scope, measure: str
):
    with limited(tmp_path, TABLES[scope], measure, LIMITS[measure]) as made:
        agent = made.agent()
        fence = agent.call("claim_task", task="T02")["fence"]
        commit = agent.commit(agent.clone(tmp_path / "clone"), {"count/x": "1\n"})
        assert [spend(made, agent, measure) for _ in range(3)] == [200] * 3 and "budget" not in agent.call(
            "list_tasks"
        )
        assert spend(made, agent, measure) == 200
        note = agent.call("list_tasks")["budget"]
        name = {Scope.SESSION: agent.session, Scope.TASK: "T02", Scope.AGENT: agent.name, Scope.RUN: ""}[
            scope
        ]
        assert (note["scope"], note["name"], note["measure"]) == (scope, name, measure) and 80 <= note[
            "percent"
        ] < 100
        spend(made, agent, measure)
        told = made.ask(agent, asking("messages", stream=False))
        assert (
            told.status_code == 400
            and told.headers["x-should-retry"] == "false"
            and "are used up" in told.json()["error"]["message"]
        )
        over = made.api(f"/api/sessions/{agent.session}", "runner")["over_budget"]
        assert (over["scope"], over["measure"]) == (scope, measure)
        until(lambda: made.server.events(kind="budget_reached"))
        with made.server.http("runner") as http:
            left = http.post(
                f"/api/sessions/{agent.session}/end", json={"outcome": "budget", "detail": "", "exit": None}
            ).json()
        assert (left["task"], bool(left["salvage"])) == ("T02", True)
        task = made.api("/api/tasks/T02")
        assert (task["state"], task["salvage"]["commit"]) == (
            "blocked" if scope is Scope.TASK else "open",
            commit,
        ) and "budget: " in task["reason"]
        [ended] = made.server.events(kind="lease_ended")
        assert (ended["fence"], ended["data"]["reason"]) == (fence, "budget")
        nobody, none_of_the_agents = scope is Scope.RUN, scope in (Scope.RUN, Scope.AGENT)
        assert made.ask(made.agent(), asking("messages", stream=False)).status_code == (
            400 if none_of_the_agents else 200
        )
        assert made.ask(made.agent("worker-2"), asking("messages", stream=False)).status_code == (
            400 if nobody else 200
        )


# -- within an answer

SLOW = Step("one two", usage=Usage(input=1000, output=100), delay=600)
SILENT = Step(
    "one two three four",
    usage=Usage(input=1000, output=100),
    deltas=4,
    faults=(Fault(stall=600, after=1, tries=FOR_EVER),),
)
STEADY = Step("one two three four", usage=Usage(input=1000, output=100), deltas=2000, pace=0.1)
PARKED = Step("one two", faults=(Fault(status=429, headers={"retry-after": "600"}, tries=FOR_EVER),))


def asked_while_time_runs_out(
    made: Place, agent: Agent, request: Request, under_way: Callable[[], Any]
) -> httpx2.Response:
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(made.ask, agent, request)
        until(under_way)
        made.server.clock.ahead_ms += 11 * 60_000
        return answer.result()


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("step", [STEADY, SILENT], ids=["steady", "silent"])
def test_a_stream_is_stopped_when_its_time_is_up(tmp_path: Path, scope: Scope, step: Step):
    with limited(tmp_path, TABLES[scope], "minutes", 10, step) as made:
        agent = made.agent()
        agent.call("claim_task", task="T02")
        answer = asked_while_time_runs_out(
            made, agent, asking("messages"), lambda: made.server.world.ledger.spent(Scope.RUN, "").tokens
        )
        assert (
            answer.status_code == 200
            and answer.content.count(b"event: error") == 1
            and f"minutes of the {scope}".encode() in answer.content
        )
        passed = answer.content[: answer.content.rfind(b"event: error")]
        assert made.models.requests[-1].sent.startswith(passed) and b"message_stop" not in answer.content
        [counted] = made.counted(agent)
        assert (counted["outcome"], counted["partial"], counted["input"]) == ("budget", True, 1000)


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_that_has_not_begun_when_its_time_is_up_is_refused(tmp_path: Path, stream: bool):
    with limited(tmp_path, TABLES[Scope.RUN], "minutes", 10, SLOW) as made:
        agent = made.agent()
        answer = asked_while_time_runs_out(
            made, agent, asking("chat", stream=stream), lambda: made.models.requests
        )
        assert (answer.status_code, answer.headers["x-should-retry"], answer.json()["error"]["code"]) == (
            400,
            "false",
            "budget_exceeded",
        )
        [counted] = made.counted(agent)
        assert (counted["outcome"], counted["tries"], counted["known"]) == ("budget", 1, False)


def test_a_request_that_waits_for_quota_when_its_time_is_up_is_refused(tmp_path: Path):
    with limited(tmp_path, TABLES[Scope.RUN], "minutes", 10, PARKED) as made:
        made.server.world.accounts.by_name["openai"].until_ms = made.server.clock() + 15_000
        agent = made.agent()
        answer = asked_while_time_runs_out(
            made, agent, asking("chat"), lambda: made.api("/api/status")["accounts"][1]["queued"]
        )
        assert answer.status_code == 400 and made.models.requests == []
        assert made.counted(agent)[0]["outcome"] == "refused"


def test_costs_end_a_stream_as_soon_as_they_are_known(tmp_path: Path):
    with limited(tmp_path, TABLES[Scope.RUN], "cost_usd", 0.002, STEADY) as made:
        answer = made.ask(made.agent(), asking("messages"))
        assert (
            b"USD of 0.002 USD of the run are used up: the gateway has stopped this answer" in answer.content
        )
