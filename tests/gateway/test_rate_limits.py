"""Kinds of rate-limit answer through a running server whose clock stands still: the wait is the vendor's, shared
by all agents, and never a client's problem.
"""

import asyncio
import email.utils
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.fake_models import FakeModels, Fault, Script, Step
from tests.waiting import until, until_on_loop

from .place import PATIENCE_S, Place, StandingClock, asking, place


@contextmanager
def standing(root: Path, script: Script = Script()) -> Iterator[Place]:
    with (
        FakeModels(script) as models,
        place(root, models, clock=StandingClock(), patience_s=PATIENCE_S) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """For limits that end: each test waits for its own out."""
    with standing(tmp_path_factory.mktemp("limits")) as made:
        yield made


def stamp(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def openai(
    message: str, kind: str = "requests", code: str | None = "rate_limit_exceeded", **more: Any
) -> dict:
    return {"error": {"message": message, "type": kind, "param": None, "code": code} | more}


def gemini(*details: dict) -> dict:
    return {
        "error": {
            "code": 429,
            "message": "You exceeded your current quota.",
            "status": "RESOURCE_EXHAUSTED",
            "details": list(details),
        }
    }


def per(period: str) -> dict:
    quota = {
        "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
        "quotaId": f"GenerateRequestsPer{period}PerProjectPerModel",
    }
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [quota]}


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"}


@dataclass(frozen=True)
class Kind:
    """An answer, given the moment it is made, and the wait that it asks for."""

    form: str
    status: int = 429
    headers: Callable[[datetime], dict[str, str]] = field(default=lambda now: {})
    body: Any = None
    least_ms: int = 0
    most_ms: int = 0

    def fault(self, now_ms: int = 0) -> Fault:
        headers = self.headers(datetime.fromtimestamp(now_ms / 1_000, UTC))
        return Fault(status=self.status, headers=headers, body=self.body)


def after(seconds: float) -> dict[str, int]:
    """The vendor says how long."""
    return {"least_ms": int(seconds * 1_000), "most_ms": int(seconds * 1_000)}


BACK_OFF = {"least_ms": 500, "most_ms": 1_000}  # the first of our own, half of which is chance
SHORT = {
    "retry-after in seconds": Kind("messages", headers=lambda now: {"retry-after": "1"}, **after(1)),
    "retry-after as a date": Kind(
        "messages",
        headers=lambda now: {
            "retry-after": email.utils.format_datetime(now + timedelta(seconds=3), usegmt=True)
        },
        **after(3),
    ),
    "anthropic reset of what is used up": Kind(
        "messages",
        headers=lambda now: {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "0",
            "anthropic-ratelimit-requests-reset": stamp(now + timedelta(seconds=1.5)),
            "anthropic-ratelimit-tokens-remaining": "90000",
            "anthropic-ratelimit-tokens-reset": stamp(now + timedelta(seconds=900)),
        },
        **after(1.5),
    ),
    "anthropic overloaded": Kind("messages", status=529, **BACK_OFF),
    "openai reset headers": Kind(
        "chat",
        headers=lambda now: {
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "1s500ms",
            "x-ratelimit-remaining-tokens": "4000",
            "x-ratelimit-reset-tokens": "10m0s",
        },
        **after(1.5),
    ),
    "openai words": Kind(
        "responses",
        body=openai(
            "Rate limit reached for gpt-5 on tokens per min (TPM): Limit 30000. Please try again in 1.4s.",
            "tokens",
        ),
        **after(1.4),
    ),
    "openai bare": Kind("chat", body=openai("Too many requests"), **BACK_OFF),
    "gemini retry info": Kind("generate", body=gemini(per("Minute"), RETRY), **after(1.5)),
    "gemini bare": Kind("generate", **BACK_OFF),
    "no json at all": Kind("chat", body="<html>slow down</html>", **BACK_OFF),
    "retry-after that makes no sense": Kind("chat", headers=lambda now: {"retry-after": "soon"}, **BACK_OFF),
}
LONG = {
    "openai insufficient quota": Kind(
        "responses",
        body=openai(
            "You exceeded your current quota, please check your plan and billing details.",
            "insufficient_quota",
            "insufficient_quota",
        ),
    ),
    "usage limit of a plan": Kind(
        "responses",
        body={
            "error": {
                "type": "usage_limit_reached",
                "message": "The usage limit has been reached",
                "plan_type": "plus",
                "resets_in_seconds": 7_200,
            }
        },
    ),
    "gemini per day": Kind("generate", body=gemini(per("Day"), RETRY)),
    "anthropic no credit": Kind(
        "messages",
        status=400,
        body={
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "Your credit balance is too low to access the Anthropic API.",
            },
        },
    ),
    "retry-after of an hour": Kind("messages", headers=lambda now: {"retry-after": "3600"}),
}


@pytest.mark.parametrize("name", SHORT)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_short_limit_is_waited_for_as_long_as_the_vendor_says_and_the_client_never_hears_of_it(
    shared: Place, name: str, stream: bool
):
    kind, clock, asked_before = SHORT[name], shared.server.clock, len(shared.models.requests)
    clock.ahead_ms += -clock() % 1_000  # a date has no fractions
    agent = shared.agent(f"{name} {stream}".replace(" ", "-"))
    request = asking(kind.form, stream=stream)
    account = shared.account(request.account)
    shared.models.play(Script((Step("Well."),), turns="any", faults=(kind.fault(clock()),)))
    with ThreadPoolExecutor(1) as pool:
        answering = pool.submit(shared.ask, agent, request)
        until(lambda: account.waiting() or answering.done())
        assert not answering.done() and kind.least_ms <= account.until_ms - clock() <= kind.most_ms
        shared.wait_out(account)
        answer = answering.result()
    assert answer.status_code == 200, answer.text
    assert [each.answered for each in shared.models.requests[asked_before:]] == ["fault", "turn"]
    [counted] = shared.counted(agent)
    assert (counted["outcome"], counted["tries"]) == ("ok", 2) and counted["waited_ms"] > 0
    [parked] = shared.server.events(kind="account_parked", agent=agent.name)
    assert kind.least_ms <= parked["data"]["until_ms"] - parked["ms"] <= kind.most_ms
    assert shared.api("/api/audit/verify")["ok"]


@pytest.mark.parametrize("name", LONG)
def test_a_quota_that_is_spent_opens_the_breaker_for_all_and_other_vendors_go_on(tmp_path: Path, name: str):
    kind = LONG[name]
    account = asking(kind.form).account
    with standing(tmp_path, Script((Step("Well."),), turns="any", faults=(kind.fault(),))) as made:
        first, second = made.agent("worker-1"), made.agent("worker-2")
        for agent in (first, second):
            answer = made.ask(agent, asking(kind.form))
            assert (answer.status_code, answer.headers["x-should-retry"]) == (429, "false"), answer.text
            assert 1 <= int(answer.headers["retry-after"]) < 300
            assert made.counted(agent)[0]["waited_ms"] == 0
        assert len(made.models.requests) == 1, "the second is not asked for at all"
        other = "chat" if account != "openai" else "messages"
        assert made.ask(second, asking(other)).status_code == 200
        shown = {one["account"]: one for one in made.api("/api/status")["accounts"]}
        assert shown[account]["state"] == "closed"
        assert shown[account]["until_ms"] > made.server.clock() + 60_000
        assert [event["data"]["account"] for event in made.server.events(kind="account_closed")] == [account]


def waiting_agents(made: Place) -> list[dict]:
    return [one for one in made.api("/api/status")["agents"] if one["waiting_for_quota"]]


def test_a_limit_is_shared_by_all_agents_of_the_account_and_shown_while_it_lasts(tmp_path: Path):
    script = Script((Step("Well."),), turns="any", faults=(Fault(status=429, headers={"retry-after": "3"}),))
    with standing(tmp_path, script) as made, ThreadPoolExecutor(8) as pool:
        agents = [made.agent(f"worker-{number}") for number in range(1, 7)]
        account = made.account("openai")
        assert agents[0].call("claim_task", task="T01")["fence"]
        answers = [pool.submit(made.ask, agents[0], asking("chat"))]
        until(account.waiting)
        for number, agent in enumerate(agents[1:]):
            answers.append(pool.submit(made.ask, agent, asking("chat", stream=bool(number % 2))))
        until(lambda: account.waiting() == 6)
        agents_shown = waiting_agents(made)
        assert len(agents_shown) == 6
        assert all(one["waiting_for_quota"]["account"] == "openai" for one in agents_shown)
        assert len(made.models.requests) == 1, "nobody else has asked"
        assert not any(answer.done() for answer in answers)
        made.wait_out(account)
        assert [answer.result().status_code for answer in answers] == [200] * 6
        assert len(made.models.requests) == 7, "one failure, six answers"
        assert not waiting_agents(made)


def test_a_client_that_leaves_while_it_waits_takes_no_turn(tmp_path: Path):
    script = Script((Step("Well."),), turns="any", faults=(Fault(status=429, headers={"retry-after": "6"}),))
    with standing(tmp_path, script) as made:
        agent, account, request = made.agent(), made.account("openai"), asking("chat")

        async def ask_and_leave() -> None:
            header = {"authorization": f"Bearer {agent.token}"}
            async with httpx2.AsyncClient(headers=header, timeout=None, verify=False) as http:
                url = f"{made.server.url}/llm/{request.account}{request.path}"
                asking_once = asyncio.create_task(http.post(url, json=request.body))
                await until_on_loop(account.waiting)
                asking_once.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asking_once

        asyncio.run(ask_and_leave())
        [counted] = made.counted(agent)
        assert (counted["outcome"], counted["tries"]) == ("aborted", 1)
        assert account.waiting() == 0
        made.wait_out(account)
        assert made.ask(agent, request).status_code == 200 and len(made.models.requests) == 2
