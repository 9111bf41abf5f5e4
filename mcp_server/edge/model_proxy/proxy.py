"""Owns the way in: /llm/ACCOUNT/..., who may ask what there, and the record of every request.

Rule: agents only; a request is read whole before it is judged, and what is not listed in `apis` goes no
further.
"""

import asyncio
import hashlib
import logging
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from mcp_server.core.principal import AGENT, Principal
from mcp_server.edge.model_proxy import telemetry
from mcp_server.edge.model_proxy.answer import ModelResponse
from mcp_server.edge.model_proxy.bodies import Bodies, BodyTooLarge, CallerGone, HeldBody, NoRoom
from mcp_server.edge.model_proxy.exchange import Asking, Course, Exchange
from mcp_server.edge.model_proxy.meter import Meter
from mcp_server.edge.model_proxy.upstream import Upstream
from mcp_server.models import apis, errors
from mcp_server.models.accounts import Account
from mcp_server.models.apis import FREE, Call, CallKind, Form, RequestFacts, Wrong
from mcp_server.models.under_way import MODEL_CHARACTERS, PendingRequest, UnderWay
from mcp_server.store.model_requests import ModelRequest
from mcp_server.use_cases.people import model_requests, spending
from mcp_server.world import World

PATH = "/llm/"
REQUESTS_MAX = 32  # at once by one agent: a session makes a handful
MODEL_BEGINS = 100  # characters that are recorded of a name longer than MODEL_CHARACTERS
UPKEEP_S_MAX = 20.0
WATCH_S = 1.0  # so often budgets of minutes are looked at while answers run
log = logging.getLogger(__name__)


class ModelProxy:
    def __init__(self, world: World, spans: telemetry.Spans | None = None):
        self._world, self._spans = world, spans or telemetry.Spans()
        self._upstream, self._under_way = Upstream(), UnderWay(world.store.path.parent)
        self._recording: set[asyncio.Task[None]] = set()
        self._active: dict[Principal, int] = {}
        self._bodies = Bodies()
        self._timed: set[Meter] = set()
        self._is_limited = spending.any_budget(world)

    def routes(self) -> list[Route]:
        return [Route("/llm/{account}", self), Route("/llm/{account}/{path:path}", self)]

    async def close(self) -> None:
        """Every record that is under way is written."""
        if self._recording:
            await asyncio.wait(self._recording)
        await self._upstream.close()
        await asyncio.to_thread(
            self._spans.flush
        )  # the process ends by its signal, before any handler of exits
        self._under_way.close()

    async def upkeep(self) -> None:
        """Renews the leases of agents that wait for a model or listen to one, and stops answers for which
        there is no time left.
        """
        every_s, loop = min(UPKEEP_S_MAX, self._world.lease_ms / 3_000), asyncio.get_running_loop()
        due_s = loop.time() + every_s
        while True:
            await asyncio.sleep(min(WATCH_S, every_s))
            for meter in list(self._timed):
                if (over := await asyncio.to_thread(meter.passed)) is not None:
                    meter.stop(over)
            if loop.time() >= due_s:
                due_s = loop.time() + every_s
                await self._renew()

    async def _renew(self) -> None:
        now = self._world.now_ms()
        waiting = {
            Principal(wait.agent, AGENT, wait.session)
            for wait in self._world.accounts.waits(now)
            if wait.kept_ms is None or now < wait.kept_ms
        }
        if at_work := waiting | set(self._active):
            await asyncio.to_thread(model_requests.renew_all, self._world, at_work)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        who: Principal = scope["principal"]
        name = scope["path_params"]["account"]
        account = self._world.accounts.by_name.get(name)
        if account is None or who.role != AGENT:
            served = (
                ", ".join(sorted(self._world.accounts.by_name))
                or "none: the server was started without a key"
            )
            no = (
                (404, f"there is no account {name[:60]!r}; there are {served}")
                if who.role == AGENT
                else (403, "models are for agents")
            )
            return await JSONResponse(
                {"type": "error", "error": {"type": "not_found_error", "message": no[1]}}, no[0]
            )(scope, receive, send)
        call = apis.call(account.api, scope["method"], "/" + scope["path_params"].get("path", ""))
        if isinstance(call, Wrong):
            return await _wrong(account, call)(scope, receive, send)
        if call.form is Form.PROBE:
            return await Response(status_code=200)(scope, receive, send)
        self._active[who] = self._active.get(who, 0) + 1
        try:
            with self._bodies.held(who.name) as held:
                await self._serve(scope, receive, send, who, account, call, held)
        finally:
            self._active[who] -= 1
            if not self._active[who]:
                del self._active[who]

    async def _serve(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        who: Principal,
        account: Account,
        call: Call,
        held: HeldBody,
    ) -> None:
        began_ms, loop = self._world.now_ms(), asyncio.get_running_loop()
        began_s = loop.time()
        self._world.accounts.came_back(who.name, who.session)
        course, asked = Course(), RequestFacts(call.model, call.stream)
        answer = ModelResponse(send, call, stream=call.stream)
        meter: Meter | None = None
        try:
            if self._active[who] > REQUESTS_MAX:
                raise NoRoom(f"{who.name} has {REQUESTS_MAX} requests under way")
            body = await held.read(receive)
            facts = apis.asked(call, body) if not _is_packed(scope) else None
            asked = facts or asked
            answer = ModelResponse(send, call, stream=asked.stream)
            if no := self._objection(account, call, facts):
                course.outcome = "refused"
                await answer.error(no.kind, no.message, status=no.status)
            else:
                meter = self._meter(who, account, call, asked)
                asking = Asking(
                    who, account, call, asked, scope["query_string"].decode("latin-1"), scope["headers"], body
                )
                exchange = Exchange(self._world, self._upstream, self._under_way, asking, answer, meter)
                course = exchange.course
                await _while_there(receive, exchange.run())
        except BodyTooLarge as large:
            course.outcome = "refused"
            await answer.error(CallKind.TOO_LARGE, str(large))
        except NoRoom as full:
            course.outcome = "refused"
            await answer.error(CallKind.BUSY, str(full), status=429, retry_after_s=1)
        except CallerGone:
            pass
        finally:
            took_ms = int((loop.time() - began_s) * 1_000)
            cost = meter.cost(course.usage) if meter else None
            self._timed.discard(meter)
            request = _model_request(who, account, call, asked, course, answer, cost, began_ms, took_ms)
            writing = asyncio.create_task(
                asyncio.to_thread(self._record, who, account, call, request, course.note)
            )
            self._recording.add(writing)
            writing.add_done_callback(partial(self._recorded, course.note))
            await asyncio.shield(writing)
        if course.outcome != "cut":  # whoever has the end of an answer finds its record too
            await answer.end()

    def _objection(self, account: Account, call: Call, facts: RequestFacts | None) -> Wrong | None:
        if facts is None:
            return Wrong(
                400,
                CallKind.INVALID,
                "the body is not a JSON object that the gateway can read, or it is packed (content-encoding)",
            )
        if facts.background:
            return Wrong(
                400,
                CallKind.INVALID,
                "background responses are not passed on: nobody could count them; leave `background` out",
            )
        if (
            account.models
            and not any(_matches(facts.model, one) for one in account.models)
            and call.form is not Form.LIST
        ):
            served, model = ", ".join(account.models), str(facts.model)[:100]
            return Wrong(
                400,
                CallKind.INVALID,
                f"account {account.name} serves the models {served}, not {model!r}",
            )
        return None

    def _meter(self, who: Principal, account: Account, call: Call, asked: RequestFacts) -> Meter:
        # Only a budget has to know the task before the request goes out; the record has time.
        task = spending.task_of(self._world, who) if self._is_limited else None
        keys = spending.keys(who, task)
        limited = (
            spending.limits(self._world, keys, who.name) if self._is_limited and call.form not in FREE else []
        )
        meter = Meter(self._world, account, asked, keys, limited)
        if meter.is_timed:
            self._timed.add(meter)
        return meter

    def _record(
        self, who: Principal, account: Account, call: Call, request: ModelRequest, note: PendingRequest | None
    ) -> None:
        self._spans.model_request(account, call, model_requests.record(self._world, who, request, note))

    def _recorded(self, note: PendingRequest | None, task: asyncio.Task[None]) -> None:
        """What could not be recorded stays noted, and is counted by the next start."""
        self._recording.discard(task)
        if task.cancelled():
            return
        if (failed := task.exception()) is not None:
            log.error("a model request could not be recorded: %s", type(failed).__name__)
        elif note is not None:
            self._under_way.end(note)


def _matches(model: str | None, allowed: str) -> bool:
    return model is not None and (
        model == allowed or (allowed.endswith("*") and model.startswith(allowed[:-1]))
    )


def _wrong(account: Account, wrong: Wrong) -> Response:
    headers = {"allow": wrong.allow} if wrong.allow else {}
    return JSONResponse(
        errors.error(account.api, wrong.kind, wrong.message, status=wrong.status),
        wrong.status,
        {**headers, "x-should-retry": "false"},
    )


def _is_packed(scope: Scope) -> bool:
    return any(
        name == b"content-encoding" and value.strip().lower() not in (b"", b"identity")
        for name, value in scope["headers"]
    )


async def _while_there(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Run `work` until it is done or the client has gone, which ends it.

    Raise what it raises, or CallerGone.
    """
    doing, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            doing.result()
            return
        raise CallerGone
    finally:
        for task in (doing, leaving):
            if not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _recorded_name(model: str | None) -> str | None:
    """Return the name of a model as it is recorded; of a long one its begin and its hash."""
    if model is None or len(model) <= MODEL_CHARACTERS:
        return model
    digest = hashlib.sha256(model.encode(errors="backslashreplace")).hexdigest()
    return f"{model[:MODEL_BEGINS]}... sha256:{digest}"


def _model_request(
    who: Principal,
    account: Account,
    call: Call,
    asked: RequestFacts,
    course: Course,
    answer: ModelResponse,
    cost: float | None,
    began_ms: int,
    took_ms: int,
) -> ModelRequest:
    seen, free = course.usage, call.form in FREE
    whole = course.outcome == "ok" and (seen.complete or free)
    first_byte_ms = None if course.first_byte_s is None else int(course.first_byte_s * 1_000)
    return ModelRequest(
        began_ms=began_ms,
        agent=who.name,
        session=who.session,
        task=None,
        fence=None,
        account=account.name,
        form=str(call.form),
        model=seen.model or _recorded_name(asked.model),
        status=answer.status,
        outcome=course.outcome,
        input=seen.input,
        cached_read=seen.cached_read,
        cached_write=seen.cached_write,
        output=seen.output,
        reasoning=seen.reasoning,
        counted=seen.is_known,
        partial=not whole and course.outcome in ("ok", "cut", "aborted", "budget"),
        cost_usd=cost,
        tries=course.tries,
        waited_ms=int(course.waited_s * 1_000),
        first_byte_ms=first_byte_ms,
        took_ms=took_ms,
    )
