"""Ten kinds of rate-limit answer through a running server: the wait is the vendor's, shared by all agents,
and never a client's problem.
"""

import email.utils
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fake_models import FakeModels, Fault, Script, Step
from tests.waiting import until

from .place import Place, Request, asking, place

PATIENCE_S = 60.0  # what is answered well before has not been waited for


def from_now(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


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
    """An answer as it is at the moment, and the wait that it asks for."""

    form: str
    status: int = 429
    headers: Callable[[], dict[str, str]] = field(default=lambda: {})
    body: Any = None
    least_s: float = 1.0
    most_s: float = 2.0

    @property
    def fault(self) -> Fault:
        return Fault(status=self.status, headers=self.headers(), body=self.body)


SHORT = {
    "retry-after in seconds": Kind("messages", headers=lambda: {"retry-after": "1"}),
    "retry-after as a date": Kind(
        "messages",
        headers=lambda: {"retry-after": email.utils.format_datetime(from_now(3), usegmt=True)},
        most_s=3.1,
    ),
    "anthropic reset of what is used up": Kind(
        "messages",
        headers=lambda: {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "0",
            "anthropic-ratelimit-requests-reset": from_now(1.5).isoformat().replace("+00:00", "Z"),
            "anthropic-ratelimit-tokens-remaining": "90000",
            "anthropic-ratelimit-tokens-reset": from_now(900).isoformat().replace("+00:00", "Z"),
        },
    ),  # fmt: skip
    "anthropic overloaded": Kind("messages", status=529, least_s=0.4, most_s=1.1),
    "openai reset headers": Kind(
        "chat",
        headers=lambda: {
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "1s500ms",
            "x-ratelimit-remaining-tokens": "4000",
            "x-ratelimit-reset-tokens": "10m0s",
        },
    ),
    "openai words": Kind(
        "responses",
        body=openai(
            "Rate limit reached for gpt-5 on tokens per min (TPM): Limit 30000. Please try again in 1.4s.",
            "tokens",
        ),
    ),
    "openai bare": Kind("chat", body=openai("Too many requests"), least_s=0.4, most_s=1.1),
    "gemini retry info": Kind("generate", body=gemini(per("Minute"), RETRY)),
    "gemini bare": Kind("generate", least_s=0.4, most_s=1.1),
    "no json at all": Kind("chat", body="<html>slow down</html>", least_s=0.4, most_s=1.1),
    "retry-after that makes no sense": Kind(
        "chat", headers=lambda: {"retry-after": "soon"}, least_s=0.4, most_s=1.1
    ),
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
    "retry-after of an hour": Kind("messages", headers=lambda: {"retry-after": "3600"}),
}


def timed(made: Place, agent, request: Request) -> tuple[float, Any]:
    began = time.monotonic()
    answer = made.ask(agent, request)
    return time.monotonic() - began, answer


@pytest.mark.parametrize("name", SHORT)
@pytest.mark.parametrize("stream", [True, False])
def test_a_short_limit_is_waited_for_as_long_as_the_vendor_says_and_the_client_never_hears_of_it(
    tmp_path: Path, name: str, stream: bool
):
    kind = SHORT[name]
    with FakeModels() as models, place(tmp_path, models) as made:
        agent = made.agent()
        models.play(Script((Step("Well."),), turns="any", faults=(kind.fault,)))  # a date is of now
        took_s, answer = timed(made, agent, asking(kind.form, stream=stream))
        assert answer.status_code == 200, answer.text
        assert kind.least_s <= took_s
        assert [each.answered for each in models.requests] == ["fault", "turn"]
        [counted] = made.counted(agent)
        assert (counted["outcome"], counted["tries"]) == ("ok", 2) and counted[
            "waited_ms"
        ] >= kind.least_s * 1_000 - 400
        [parked] = made.server.events(kind="account_parked")
        assert (
            parked["data"]["until_ms"] - parked["ms"] <= kind.most_s * 1_000
            and made.api("/api/audit/verify")["ok"]
        )


@pytest.mark.parametrize("name", LONG)
def test_a_quota_that_is_spent_opens_the_breaker_for_all_and_other_vendors_go_on(tmp_path: Path, name: str):
    kind = LONG[name]
    account = asking(kind.form).account
    script = Script(
        (Step("Well."),),
        turns="any",
        faults=(Fault(status=kind.status, headers=kind.headers(), body=kind.body, tries=1),),
    )
    with FakeModels(script) as models, place(tmp_path, models, patience_s=PATIENCE_S) as made:
        first, second = made.agent("worker-1"), made.agent("worker-2")
        for agent in (first, second):
            took_s, answer = timed(made, agent, asking(kind.form))
            assert (answer.status_code, answer.headers["x-should-retry"]) == (
                429,
                "false",
            ) and took_s < PATIENCE_S / 2, answer.text
            assert 1 <= int(answer.headers["retry-after"]) < 300
        assert len(models.requests) == 1, "the second is not asked for at all"
        other = "chat" if account != "openai" else "messages"
        assert made.ask(second, asking(other)).status_code == 200
        shown = {one["account"]: one for one in made.api("/api/status")["accounts"]}
        assert (
            shown[account]["state"] == "closed" and shown[account]["until_ms"] > time.time() * 1_000 + 60_000
        )
        assert [event["data"]["account"] for event in made.server.events(kind="account_closed")] == [account]


def test_a_limit_is_shared_by_all_agents_of_the_account_and_shown_while_it_lasts(tmp_path: Path):
    script = Script((Step("Well."),), turns="any", faults=(Fault(status=429, headers={"retry-after": "3"}),))
    with FakeModels(script) as models, place(tmp_path, models) as made, ThreadPoolExecutor(8) as pool:
        agents = [made.agent(f"worker-{number}") for number in range(1, 7)]
        assert agents[0].call("claim_task", task="T01")["fence"]
        first = pool.submit(timed, made, agents[0], asking("chat"))
        until(lambda: models.requests)
        until(lambda: made.server.events(kind="account_parked"))
        others = [
            pool.submit(timed, made, agent, asking("chat", stream=bool(number % 2)))
            for number, agent in enumerate(agents[1:])
        ]
        agents_shown = until(
            lambda: (
                shown
                if len(
                    shown := [one for one in made.api("/api/status")["agents"] if one["waiting_for_quota"]]
                )
                == 6
                else None
            )
        )
        assert len(models.requests) == 1, "nobody else has asked"
        assert all(one["waiting_for_quota"]["account"] == "openai" for one in agents_shown)
        done = [each.result() for each in (first, *others)]
        assert [answer.status_code for _, answer in done] == [200] * 6
        assert min(took for took, _ in done) > 1.0 and done[0][0] >= 2.9
        assert len(models.requests) == 7, "one failure, six answers"
        assert not [one for one in made.api("/api/status")["agents"] if one["waiting_for_quota"]]


def test_a_client_that_leaves_while_it_waits_takes_no_turn(tmp_path: Path):
    script = Script((Step("Well."),), turns="any", faults=(Fault(status=429, headers={"retry-after": "6"}),))
    with FakeModels(script) as models, place(tmp_path, models) as made:
        agent = made.agent()
        with pytest.raises(Exception, match="timed out|Timeout"):
            made.ask(agent, asking("chat"), timeout=3)
        [counted] = made.counted(agent)
        assert (counted["outcome"], counted["tries"]) == ("aborted", 1)
        took_s, answer = timed(made, agent, asking("chat"))
        assert answer.status_code == 200 and len(models.requests) == 2
