"""Budgets: told at 80 %, enforced at 100 %, in the middle of a stream where the tokens are known there, and
the task goes back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mcp_server import config
from mcp_server.config import Budget
from mcp_server.models import budgets
from mcp_server.models.budgets import Scope, Spent
from mcp_server.use_cases.people import spending
from tests.fake_models import FOR_EVER, FakeModels, Fault, Script, Step, Usage
from tests.server import toy
from tests.waiting import until

from .place import FORMS, Place, asking, place

STEP = Step("one two three four", usage=Usage(input=1000, output=100), deltas=4)


@contextmanager
def here(root: Path, gateway: str = "", *, step: Step = STEP, **more: Any) -> Iterator[Place]:
    with (
        FakeModels(Script((step,), turns="any")) as models,
        place(root, models, gateway=gateway, **more) as made,
    ):
        yield made


# -- the decision


def test_the_limit_nearest_to_its_end_is_told():
    spent = Spent(tokens=900, cost_usd=0.5, requests=3, minutes=1)
    found = budgets.worst(
        [
            (Scope.SESSION, "S1", Budget(tokens=1000, cost_usd=1.0), spent),
            (Scope.RUN, "", Budget(requests=100), spent),
        ]
    )
    assert found is not None and (found.scope, found.measure, found.share, found.is_over) == (
        Scope.SESSION,
        "tokens",
        0.9,
        False,
    )
    assert found.sentence() == "900 tokens of 1,000 tokens of the session S1 are used up"
    assert budgets.worst([(Scope.RUN, "", Budget(), spent)]) is None


@pytest.mark.parametrize(
    ("measure", "used"), [("tokens", 10), ("cost_usd", 10.0), ("requests", 10), ("minutes", 10.0)]
)
def test_every_measure_is_over_at_its_limit_and_not_before(measure: str, used: float):
    def over(limit: float) -> bool:
        found = budgets.worst([(Scope.TASK, "T", Budget(**{measure: limit}), Spent(**{measure: used}))])
        assert found is not None
        return found.is_over

    assert over(10) and not over(11)


# -- the configuration

BUDGETS = """
[gateway.budget]
cost_usd = 100
[gateway.budget.session]
tokens = 2_000_000
[gateway.budget.task]
requests = 50
[agents.worker.budget]
minutes = 90.5
[agents.worker.session_budget]
requests = 7
"""


def parsed(more: str, task: str = "") -> Any:
    return config.parse(
        toy.TOML + more, {"tasks/1.md": toy.task("T01", "shout").replace("priority", f"{task}\npriority")}
    )


def test_budgets_are_read_for_every_scope():
    found = parsed(BUDGETS, "budget = { tokens = 5, minutes = 3 }")
    gateway, worker = found.gateway, found.agents["worker"]
    assert (gateway.budget, gateway.session_budget, gateway.task_budget) == (
        Budget(cost_usd=100.0),
        Budget(tokens=2_000_000),
        Budget(requests=50),
    )
    assert (worker.budget, worker.session_budget, found.tasks[0].budget) == (
        Budget(minutes=90.5),
        Budget(requests=7),
        Budget(tokens=5, minutes=3.0),
    )


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("[gateway.budget]\ntoken = 5", "did you mean 'tokens'"),
        ("[gateway.budget]\ntokens = 0", "must be above 0"),
        ("[gateway.budget.session]\ncost_usd = '5'", "must be a number"),
        ("[gateway]\nbudget = 5", "must be a table"),
        ("[gateway]\npatience = 5", "did you mean 'patience_s'"),
        ("[gateway.accounts.x]\napi = 'opena'", "did you mean 'openai'"),
        ("[gateway.accounts.x]\napi = 'openai'\nkey = 'sk-verysecret'", "name a variable in key_env"),
        ("[gateway.accounts.x]\napi = 'openai'\nkey_env = 'sk-verysecret'", "no variable's name"),
        ("[gateway.accounts.x]\napi = 'openai'\nbase_url = 'ftp://x'", "no http or https address"),
        (
            "[gateway.accounts.x]\napi = 'openai'\nbase_url = 'http://u:verysecret@x/v1'",
            "more than an address",
        ),
        ("[gateway.accounts.x]\napi = 'openai'\nkey_env = 'A'\nkey_file = 'b'", "both"),
        ("[gateway]\naccounts = 5", "must hold tables"),
    ],
)
def test_what_is_wrong_is_told_and_no_key_is_repeated(more: str, told: str):
    problems = "\n".join(str(problem) for problem in parsed("\n" + more))
    assert told in problems and "verysecret" not in problems


# -- in a running server


def test_at_80_percent_the_next_tool_answer_says_so_and_before_it_does_not(tmp_path: Path):
    with here(tmp_path, "[gateway.budget.session]\ntokens = 2500") as made:
        agent = made.agent()
        made.ask(agent, asking("chat"))
        assert (
            "budget" not in agent.call("list_tasks") and "Budget" not in agent.call("read_progress")["text"]
        )
        made.ask(agent, asking("chat"))
        note = agent.call("list_tasks")["budget"]
        assert (
            note["scope"],
            note["name"],
            note["measure"],
            note["used"],
            note["limit"],
            note["percent"],
        ) == ("session", agent.session, "tokens", 2200, 2500, 88)
        assert "Budget: 2,200 tokens of 2,500" in agent.call("read_progress")["text"]
        assert "budget" not in made.agent("worker-2").call("list_tasks")


@pytest.mark.parametrize("form", FORMS)
def test_at_100_percent_requests_are_refused_in_the_apis_words_and_no_task_is_given(
    tmp_path: Path, form: str
):
    with here(tmp_path, "[gateway.budget.session]\nrequests = 2") as made:
        agent = made.agent()
        assert [made.ask(agent, asking(form)).status_code for _ in range(3)] == [200, 200, 400]
        answer = made.ask(agent, asking(form))
        assert (
            answer.headers["x-should-retry"] == "false"
            and "2 requests of 2 requests of the session" in answer.json()["error"]["message"]
        )
        assert len(made.models.requests) == 2 and [one["outcome"] for one in made.counted(agent, 4)] == [
            "ok",
            "ok",
            "refused",
            "refused",
        ]
        refused = agent.call("claim_task")
        assert (refused["status"], refused["code"]) == ("refused", "budget") and refused["budget"][
            "percent"
        ] == 100
        assert made.api(f"/api/sessions/{agent.session}", "runner")["over_budget"]["scope"] == "session"
        again = made.agent()  # the agent's next session has a budget of its own
        assert (
            made.ask(again, asking(form)).status_code == 200
            and again.call("claim_task", task="T02")["status"] == "leased"
        )
        assert made.api(f"/api/sessions/{again.session}")["over_budget"] is None


@pytest.mark.parametrize("form", ["messages", "generate"])
def test_a_stream_is_stopped_with_an_error_event_as_soon_as_its_tokens_are_known_to_pass_the_budget(
    tmp_path: Path, form: str
):
    step = Step("one two three four", usage=Usage(input=1000, output=100), deltas=6, pace=0.05)
    with here(tmp_path, "[gateway.budget]\ntokens = 900", step=step) as made:
        agent = made.agent()
        answer = made.ask(agent, asking(form))
        sent = made.models.requests[-1].sent
        assert answer.status_code == 200 and b"tokens of 900 tokens of the run are used up" in answer.content
        passed = answer.content[
            : answer.content.rfind(b"event: error" if form == "messages" else b'{"error"')
        ]
        assert passed and sent.startswith(passed) and b"message_stop" not in answer.content
        [counted] = made.counted(agent)
        assert (counted["outcome"], counted["partial"]) == ("budget", True) and counted["input"] == 1000
        assert made.ask(agent, asking("chat")).status_code == 400


def test_another_agents_spending_stops_a_stream_of_the_same_run(tmp_path: Path):
    step = Step(
        "one two three four five six seven eight", usage=Usage(input=1000, output=100), deltas=40, pace=0.1
    )
    with here(tmp_path, "[gateway.budget]\ntokens = 3_000", step=step) as made:
        one, two = made.agent("one"), made.agent("two")
        with (
            made.http(one) as http,
            http.stream("POST", "/anthropic/v1/messages", json=asking("messages").body) as answer,
        ):
            pieces = answer.iter_raw()
            next(pieces)
            for _ in range(2):
                assert made.ask(two, asking("messages", stream=False)).status_code == 200
            rest = b"".join(pieces)
        assert (
            b"event: error" in rest
            and b"message_stop" not in rest
            and made.counted(one)[0]["outcome"] == "budget"
        )


def test_the_last_request_of_a_budget_is_answered_to_its_end(tmp_path: Path):
    with here(tmp_path, "[gateway.budget]\nrequests = 1") as made:
        agent = made.agent()
        assert made.ask(agent, asking("messages")).content == made.models.requests[-1].sent
        assert made.ask(agent, asking("messages")).status_code == 400


def test_a_task_over_its_budget_is_blocked_with_the_reason_and_its_work_is_kept(tmp_path: Path):
    toml = toy.TOML
    with here(tmp_path, "[gateway.budget.task]\ntokens = 2000", toml=toml) as made:
        agent = made.agent()
        fence = agent.call("claim_task", task="T02")["fence"]
        commit = agent.commit(agent.clone(tmp_path / "clone"), {"count/x": "1\n"})
        for _ in range(2):
            assert made.ask(agent, asking("chat")).status_code == 200
        assert made.ask(agent, asking("chat")).status_code == 400
        until(lambda: made.server.events(kind="budget_reached"))
        assert (
            made.api("/api/tasks/T02")["state"] == "leased"
        )  # the harness has time to save what is not uploaded
        with made.server.http("runner") as http:
            left = http.post(
                f"/api/sessions/{agent.session}/end", json={"outcome": "budget", "detail": "", "exit": None}
            ).json()
        assert left["task"] == "T02" and left["salvage"]
        task = made.api("/api/tasks/T02")
        assert (task["state"], task["salvage"]["commit"]) == (
            "blocked",
            commit,
        ) and "budget: 2,200 tokens of 2,000 tokens of the task T02" in task["reason"]
        [ended] = made.server.events(kind="lease_ended")
        assert (ended["fence"], ended["data"]["reason"]) == (fence, "budget")
        assert made.agent("worker-2").call("claim_task", task="T01")["status"] == "leased"


def test_a_lease_over_its_budget_ends_by_itself_where_nobody_ends_the_session(tmp_path: Path):
    with here(tmp_path, "[gateway.budget.session]\ntokens = 1000") as made:
        agent = made.agent()
        agent.call("claim_task", task="T02")
        made.ask(agent, asking("chat"))
        until(lambda: made.server.events(kind="budget_reached"))
        for _ in range(5):  # it goes on calling tools, so that its lease does not run out meanwhile
            made.server.clock.ahead_ms += spending.GRACE_MS // 4
            agent.call("list_tasks")
        until(lambda: made.api("/api/tasks/T02")["state"] == "open")
        assert (
            made.server.events(kind="lease_ended")[0]["data"]["reason"] == "budget"
            and "budget" in made.api("/api/tasks/T02")["reason"]
        )


def test_minutes_are_those_of_the_session(tmp_path: Path):
    with here(tmp_path, "[gateway.budget.session]\nminutes = 10") as made:
        agent = made.agent()
        assert made.ask(agent, asking("chat")).status_code == 200
        made.server.clock.ahead_ms += 9 * 60_000
        assert (
            made.ask(agent, asking("chat")).status_code == 200
            and agent.call("list_tasks")["budget"]["measure"] == "minutes"
        )
        made.server.clock.ahead_ms += 2 * 60_000
        assert made.ask(agent, asking("chat")).status_code == 400


def test_costs_are_limited_and_an_unknown_price_counts_as_none(tmp_path: Path):
    with here(tmp_path, "[gateway.budget]\ncost_usd = 0.005") as made:
        agent = made.agent()
        for _ in range(3):
            assert made.ask(agent, asking("messages", model="nobodys-model")).status_code == 200
        assert made.ask(agent, asking("messages")).status_code == 200  # 1000 in, 100 out: 0.0045
        assert agent.call("list_tasks")["budget"]["percent"] == 90
        assert made.ask(agent, asking("messages")).status_code == 200
        assert made.ask(agent, asking("messages")).status_code == 400
        made.server.stop()
        made.server.start()
        assert (
            made.ask(agent, asking("messages")).status_code == 400
        )  # what was spent is known to the next server too


def test_a_killed_sessions_stream_is_charged(tmp_path: Path):
    step = Step(
        "slow", usage=Usage(input=1000, output=100), faults=(Fault(stall=600, after=1, tries=FOR_EVER),)
    )
    with here(tmp_path, "[gateway.budget]\ntokens = 1_000", step=step) as made:
        agent = made.agent()
        with (
            made.http(agent) as http,
            http.stream("POST", "/openai/v1/chat/completions", json=asking("chat").body) as answer,
        ):
            next(answer.iter_raw())
        assert made.counted(agent)[0]["outcome"] == "aborted"
        assert made.server.world.ledger.spent(Scope.RUN, "").requests == 1
