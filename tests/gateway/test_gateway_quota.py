"""Rate limits: what an answer says about when to come again, one pause for all agents of an account, and what
clients see meanwhile.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest

from mcp_server.models import quota
from mcp_server.models.accounts import PAUSE_MS_MIN, Account, Pace
from mcp_server.models.apis import ModelApi
from mcp_server.models.errors import RETRY_AFTER_S_MAX
from mcp_server.models.quota import Quota
from tests.fake_models import FOR_EVER, FakeModels, Fault, Script, Step, Usage
from tests.waiting import BOUND_S, until

from .place import FORMS, PATIENCE_S, Place, Request, StandingClock, asking, place

NOW = int(datetime(2026, 11, 22, 12, 0, tzinfo=UTC).timestamp() * 1000)
HOUR = 3_600_000


def gemini(
    *details: dict,
    message: str = "You exceeded your current quota, please check your plan and billing details.",
) -> dict:
    return {
        "error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": message, "details": list(details)}
    }


RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}
PER_DAY = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
}
PER_MINUTE = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}],
}

# status, headers, body -> ms from now (None: not told), terminal
ANSWERS = {
    "retry-after in seconds": (429, {"retry-after": "3"}, {}, 3_000, False),
    "retry-after as a date": (429, {"retry-after": "Sun, 22 Nov 2026 12:01:00 GMT"}, {}, 60_000, False),
    "retry-after of nothing": (429, {"retry-after": "0"}, {}, 0, False),
    "retry-after-ms": (429, {"retry-after-ms": "250"}, {}, 250, False),
    "a long retry-after": (429, {"retry-after": "900"}, {}, 900_000, True),
    "anthropic resets": (
        429,
        {"anthropic-ratelimit-requests-remaining": "49", "anthropic-ratelimit-requests-reset": "2026-11-22T12:00:50Z",
         "anthropic-ratelimit-input-tokens-remaining": "0", "anthropic-ratelimit-input-tokens-reset": "2026-11-22T12:00:12Z"},
        {"type": "error", "error": {"type": "rate_limit_error", "message": "..."}}, 12_000, False,
    ),
    "anthropic's share of a plan": (429, {"anthropic-ratelimit-unified-status": "rejected", "anthropic-ratelimit-unified-reset": str(NOW // 1000 + 7200)}, {}, 2 * HOUR, True),
    "anthropic overloaded": (529, {}, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, None, False),
    "anthropic without credit": (400, {}, {"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low to access the Anthropic API."}}, quota.UNKNOWN_RESET_MS, True),
    "openai resets": (429, {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m2.5s", "x-ratelimit-remaining-requests": "9", "x-ratelimit-reset-requests": "6h"}, {}, 62_500, False),
    "openai in words": (429, {}, {"error": {"code": "rate_limit_exceeded", "message": "Rate limit reached for gpt-5. Please try again in 1.898s. Visit"}}, 1_898, False),
    "openai without money": (429, {}, {"error": {"code": "insufficient_quota", "type": "insufficient_quota", "message": "..."}}, quota.UNKNOWN_RESET_MS, True),
    "a plan's limit": (429, {}, {"error": {"type": "usage_limit_reached", "resets_at": NOW // 1000 + 5400}}, 5_400_000, True),
    "a plan's limit from now": (429, {}, {"error": {"type": "usage_limit_reached", "resets_in_seconds": 5400}}, 5_400_000, True),
    "gemini per minute": (429, {}, gemini(PER_MINUTE, RETRY_INFO), 34_500, False),
    "gemini per day": (429, {}, gemini(PER_DAY, RETRY_INFO), 20 * HOUR, True),
    "gemini as a list": (429, {}, [gemini(RETRY_INFO)], 34_500, False),
    "payment required": (402, {}, {"error": {"message": "Insufficient credits"}}, quota.UNKNOWN_RESET_MS, True),
    "busy with a time": (503, {"retry-after": "7"}, {}, 7_000, False),
    "bare": (429, {}, {}, None, False),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_a_rate_limit_answer_is_read(name: str):
    status, headers, body, ms, terminal = ANSWERS[name]
    api = (
        ModelApi.GEMINI
        if "gemini" in name
        else ModelApi.ANTHROPIC
        if "anthropic" in name
        else ModelApi.OPENAI
    )
    found = quota.read(api, status, headers, json.dumps(body).encode(), NOW)
    assert found is not None and (found.retry_at_ms, found.terminal) == (
        None if ms is None else NOW + ms,
        terminal,
    ), found


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"message": "bad"}}),
        (500, {}),
        (503, {}),
        (401, {}),
        (403, {"error": {"code": "forbidden"}}),
        (200, {}),
    ],
)
def test_other_answers_are_no_quota(status: int, body: dict):
    assert (
        quota.read(
            ModelApi.OPENAI, status, {"x-ratelimit-reset-tokens": "6m"}, json.dumps(body).encode(), NOW
        )
        is None
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"[1]",
        b'{"error": 3}',
        b'{"error": {"details": 3, "message": 4, "code": []}}',
        b'{"error":{"resets_at":1e400}}',
        b"[" * 200_000,
    ],
)
def test_whatever_a_body_holds_a_429_is_a_quota(body: bytes):
    assert quota.read(
        ModelApi.GEMINI,
        429,
        {"retry-after": "soon", "x-ratelimit-reset": "\u0663", "anthropic-ratelimit-x-reset": "never"},
        body,
        NOW,
    ) == Quota(None, False, "rate limit (429)")


def test_a_reason_never_holds_what_a_vendor_wrote():
    body = json.dumps(
        {"error": {"code": "sk-0123456789abcdef", "message": "key sk-0123456789abcdef is over its limit"}}
    ).encode()
    assert quota.read(ModelApi.OPENAI, 429, {}, body, NOW) == Quota(None, False, "rate limit (429)")


def test_the_back_off_grows_to_a_minute_and_half_of_it_is_chance():
    longest = [quota.backoff_ms(attempt, 1.0) for attempt in range(1, 12)]
    assert longest == sorted(longest) and longest[0] == 1_000 and longest[-1] == 60_000
    assert all(
        quota.backoff_ms(attempt, 0.0) * 2 == quota.backoff_ms(attempt, 1.0) for attempt in range(1, 12)
    )


# -- one account, many agents


NOW_MS = 1_000_000_000


def account(now_ms: Callable[[], int] = lambda: NOW_MS) -> Account:
    return Account("a", ModelApi.OPENAI, "http://x", None, now_ms)


def test_after_a_pause_one_tries_first_and_each_good_answer_lets_two_more_go_in_order():
    async def run() -> None:
        clock = [NOW_MS]
        one, went = account(lambda: clock[0]), []

        async def ask(number: int) -> None:
            assert await one.turn(BOUND_S)
            went.append(number)

        one.refused(Quota(NOW_MS + HOUR, False, "rate limit"), 0.5)
        tasks = []
        for number in range(8):
            tasks.append(asyncio.create_task(ask(number)))
            await asyncio.sleep(0)
        assert not one.is_free() and one.waiting() == 8 and went == []
        one._ring()
        await asyncio.sleep(0)
        assert one.waiting() == 8, "a timer that rings too early lets nobody go"
        clock[0] += HOUR
        one._ring()
        await asyncio.wait_for(tasks[0], BOUND_S)
        assert went == [0]
        one.answered()
        await asyncio.wait_for(tasks[2], BOUND_S)
        assert went == [0, 1, 2]
        for _ in range(3):
            one.answered()
            await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.gather(*tasks), BOUND_S)
        assert went == list(range(8)) and one.is_free()

    asyncio.run(run())


def test_a_pause_ends_by_itself():
    async def run() -> None:
        one = account(lambda: time.time_ns() // 1_000_000)
        one.refused(Quota(one.now_ms() + 100, False, "rate limit"), 0.5)
        assert await one.turn(BOUND_S) and not one.is_parked()

    asyncio.run(run())


def test_the_turn_of_one_who_left_goes_to_the_next():
    async def run() -> None:
        one = account()
        one.refused(Quota(one.now_ms() + 60_000, False, "rate limit"), 0.5)  # so long that no timer rings
        first = asyncio.create_task(one.turn(10))
        await asyncio.sleep(0)
        second = asyncio.create_task(one.turn(10))
        while one.waiting() < 2:
            await asyncio.sleep(0)
        one._wake(1)
        first.cancel()
        assert await asyncio.wait_for(second, BOUND_S) is True

    asyncio.run(run())


def test_many_refusals_at_once_lengthen_the_pause_once():
    async def run() -> None:
        one = account()
        for _ in range(64):
            one.refused(Quota(None, False, "rate limit"), 1.0)
        assert one.until_ms - NOW_MS == quota.BACKOFF_MS[0]

    asyncio.run(run())


def test_a_pause_that_is_always_nothing_becomes_a_back_off():
    async def run() -> None:
        one, pauses = account(), []
        for _ in range(5):
            one.until_ms = 0
            one.refused(Quota(one.now_ms(), False, "rate limit"), 1.0)
            pauses.append(one.until_ms - one.now_ms())
        assert pauses == [PAUSE_MS_MIN, PAUSE_MS_MIN, *quota.BACKOFF_MS[2:5]]

    asyncio.run(run())


# -- through the server


def limited(say: str, *faults: Fault) -> Script:
    return Script((Step(say, usage=Usage(input=50, output=5), faults=faults),), turns="any")


@contextmanager
def here(root: Path, *faults: Fault, **more) -> Iterator[Place]:
    with (
        FakeModels(limited("Good.", *faults)) as models,
        place(root, models, **{"clock": StandingClock(), "patience_s": PATIENCE_S} | more) as made,
    ):
        yield made


def test_a_limit_is_waited_out_as_told_and_the_client_sees_nothing_of_it(tmp_path: Path):
    with here(tmp_path, Fault(status=429, headers={"retry-after": "1"}), clock=None) as made:
        agent = made.agent()
        answer = made.ask(agent, asking("messages"))
        assert answer.status_code == 200 and answer.content == made.models.requests[-1].sent
        [counted] = made.counted(agent)
        assert counted["tries"] == 2 and counted["took_ms"] >= 1_000
        assert len(made.server.events(agent=agent.name, kind="account_parked")) == 1


def test_the_pause_is_the_accounts_so_other_agents_wait_too_and_other_accounts_do_not(tmp_path: Path):
    with (
        here(tmp_path, Fault(status=429, headers={"retry-after": "1"})) as made,
        ThreadPoolExecutor(2) as pool,
    ):
        one, two, other = (made.agent(name) for name in ("one", "two", "other"))
        account = made.account("openai")
        first = pool.submit(made.ask, one, asking("responses"))
        until(lambda: account.waiting() == 1)
        second = pool.submit(made.ask, two, asking("chat"))
        until(lambda: account.waiting() == 2)
        assert made.ask(other, asking("generate")).status_code == 200
        assert made.counted(other)[0]["waited_ms"] == 0
        made.wait_out(account)
        assert first.result().status_code == second.result().status_code == 200
        [counted] = made.counted(two)
        assert counted["tries"] == 1 and counted["waited_ms"] > 0
        assert [len(made.server.events(agent=name, kind="waiting_for_quota")) for name in ("one", "two")] == [
            1,
            1,
        ]


def test_while_an_agent_waits_its_lease_lives_and_everybody_can_see_why(tmp_path: Path):
    with here(tmp_path, Fault(status=429, headers={"retry-after": "9"})) as made:
        agent = made.agent("worker-1")
        fence = agent.call("claim_task", task="T02")["fence"]
        made.server.clock.ahead_ms += 40_000  # of a minute
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(made.ask, agent, asking("messages"))
            [row] = until(
                lambda: [
                    row
                    for row in made.api("/api/status")["agents"]
                    if row["waiting_for_quota"] and row["lease_left_s"] >= 50
                ]
            )
            assert (row["waiting_for_quota"]["account"], row["fence"]) == ("anthropic", fence)
            assert row["waiting_for_quota"]["until_ms"] - made.server.clock() == 9_000
            assert "waiting_for_quota until" in made.agent("other").call("read_progress")["text"]
            [shown] = [
                one for one in made.api("/api/status", "runner")["accounts"] if one["account"] == "anthropic"
            ]
            assert (shown["state"], shown["agents"]) == ("waiting", ["worker-1"]) and "429" in shown["reason"]
            made.wait_out(made.account("anthropic"))
            assert answer.result().status_code == 200
        [row] = [row for row in made.api("/api/status")["agents"] if row["agent"] == "worker-1"]
        assert row["waiting_for_quota"] is None
        [told] = [event for event in made.server.events(kind="waiting_for_quota")]
        assert (told["task"], told["fence"], told["data"]["account"]) == ("T02", fence, "anthropic")


def test_an_agent_that_was_sent_away_keeps_its_lease_until_it_was_to_come_again(tmp_path: Path):
    fault = Fault(status=429, headers={"retry-after": "200"}, tries=FOR_EVER)
    with here(tmp_path, fault, patience_s=20) as made:
        agent = made.agent("worker-1")
        agent.call("claim_task", task="T02")
        assert made.ask(agent, asking("chat")).status_code == 429
        accounts, now = made.server.world.accounts, made.server.clock()
        [wait] = accounts.waits(now)
        assert (wait.agent, wait.session) == (
            "worker-1",
            agent.session,
        ) and wait.kept_ms > wait.until_ms == now + 200_000
        assert accounts.waits(now + 201_000) == []


@pytest.mark.parametrize("form", FORMS)
def test_past_its_patience_a_client_is_told_in_its_apis_words_when_to_come_again(tmp_path: Path, form: str):
    fault = Fault(status=429, headers={"retry-after": "200"}, tries=FOR_EVER)
    with here(tmp_path, fault, patience_s=20) as made:
        agent = made.agent()
        answer = made.ask(agent, asking(form))
        assert (
            answer.status_code == 429
            and int(answer.headers["retry-after"]) == 200
            and "x-should-retry" not in answer.headers
        )
        assert any(word in answer.text for word in ("rate_limit_error", "RESOURCE_EXHAUSTED"))
        if form == "generate":
            assert answer.json()["error"]["details"][-1]["retryDelay"] == f"{answer.headers['retry-after']}s"
        assert made.counted(agent)[0]["outcome"] == "error" and len(made.models.requests) == 1
        assert made.ask(agent, asking(form)).status_code == 429 and len(made.models.requests) == 1
        assert made.counted(agent, 2)[1]["outcome"] == "refused"


@pytest.mark.parametrize("form", FORMS)
def test_a_spent_quota_closes_the_account_until_the_reset_and_others_go_on(tmp_path: Path, form: str):
    body = {
        "error": {"code": 429, "type": "usage_limit_reached", "message": "limit", "resets_in_seconds": 7200}
    }
    with here(tmp_path, Fault(status=429, body=body)) as made:
        agent = made.agent()
        answer = made.ask(agent, asking(form))
        assert (answer.status_code, answer.headers["x-should-retry"]) == (429, "false") and int(
            answer.headers["retry-after"]
        ) == RETRY_AFTER_S_MAX
        [closed] = [one for one in made.api("/api/status", "runner")["accounts"] if one["state"] != "ready"]
        assert (
            closed["state"] == "closed"
            and closed["until_ms"] - made.server.clock() == 7_200_000
            and "quota spent" in closed["reason"]
        )
        assert "account_closed" in [event["kind"] for event in made.server.events()]
        other = asking("messages" if closed["account"] != "anthropic" else "chat")
        assert made.ask(agent, other).status_code == 200
        made.server.clock.ahead_ms += 7_300_000
        renewed = made.agent("worker-2")
        assert made.ask(renewed, asking(form)).status_code == 200
        assert all(one["state"] == "ready" for one in made.api("/api/status")["accounts"])


def test_a_refused_key_closes_the_account_and_the_vendors_words_stay_outside(tmp_path: Path):
    body = {"error": {"message": "Incorrect API key provided: sk-test-******mnop", "code": "invalid_api_key"}}
    with here(tmp_path, Fault(status=401, body=body, tries=FOR_EVER)) as made:
        answer = made.ask(made.agent(), asking("chat"))
        assert (
            answer.status_code == 401
            and "mnop" not in answer.text
            and answer.headers["x-should-retry"] == "false"
        )
        assert [one["reason"] for one in made.api("/api/status")["accounts"] if one["state"] == "closed"] == [
            "the key was refused (401)"
        ]


PING = b": waiting for quota\n\n"


@contextmanager
def begun(made: Place, request: Request) -> Iterator[httpx2.Response]:
    """An answer whose headers have come."""
    with (
        made.http(made.agent()) as http,
        http.stream("POST", f"/{request.account}{request.path}", json=request.body) as answer,
    ):
        yield answer


@pytest.mark.parametrize("form", FORMS)
def test_a_parked_stream_gets_headers_and_comments_early_and_then_the_answer(tmp_path: Path, form: str):
    with here(tmp_path, Fault(status=429, headers={"retry-after": "4"})) as made:
        made.server.world.accounts.pace = Pace(early_s=0.01, ping_s=0.01)
        account = made.account(asking(form).account)
        pings = b""
        with begun(made, asking(form)) as answer:
            parts = answer.iter_raw()
            while pings.count(PING) < 2:
                pings += next(parts)
            assert (answer.status_code, answer.headers["content-type"]) == (
                200,
                "text/event-stream; charset=utf-8",
            )
            made.wait_out(account)
            more, _, rest = (pings + b"".join(parts)).rpartition(PING)
        assert more.replace(PING, b"") == b""
        assert rest == made.models.requests[-1].sent


IN_STREAM = {
    "messages": b'event: error\ndata: {"type": "error", "error": {"type": "rate_limit_error"',
    "responses": b'event: response.failed\ndata: {"type": "response.failed"',
    "chat": b'data: {"error": {"message"',
    "generate": b'{"error": {"code": 429',
}


@pytest.mark.parametrize("form", FORMS)
def test_when_patience_ends_after_early_headers_the_stream_ends_with_an_error_of_its_api(
    tmp_path: Path, form: str
):
    with here(tmp_path, Fault(status=429, tries=FOR_EVER)) as made:
        made.server.world.accounts.pace = Pace(early_s=0.01)
        with begun(made, asking(form)) as answer:
            parts = answer.iter_raw()
            content = next(parts)
            made.wait_out(made.account(asking(form).account), more_ms=int(PATIENCE_S * 1_000))
            content += b"".join(parts)
        assert answer.status_code == 200 and content.startswith(PING) and content.endswith(b"\n\n")
        assert IN_STREAM[form] in content
        assert len(made.models.requests) == 2, (
            "it was tried once more, and is sent away until the next pause ends"
        )


def test_what_is_no_stream_gets_no_early_headers(tmp_path: Path):
    with here(tmp_path, Fault(status=429, tries=FOR_EVER)) as made:
        made.server.world.accounts.pace = Pace(early_s=0.1, plain_patience_s=1.0)
        answer = made.ask(made.agent(), asking("messages", stream=False))
        assert answer.status_code == 429 and 1 <= int(answer.headers["retry-after"]) <= RETRY_AFTER_S_MAX
