"""Owns one request from its admission to its last byte: wait for quota, ask, pass on, count.

Rule: a try is repeated only while nothing of an answer has been sent on; whatever happens, the request is
counted once.
"""

import asyncio
import random
from dataclasses import dataclass, field
from enum import Enum

from mcp_server.core.principal import Principal
from mcp_server.edge.model_proxy.answer import ModelResponse, up_to_event_end
from mcp_server.edge.model_proxy.meter import Meter, OverBudget
from mcp_server.edge.model_proxy.patience import Patience
from mcp_server.edge.model_proxy.upstream import Answering, Upstream, UpstreamFailed, UpstreamGone
from mcp_server.models import apis, errors, quota
from mcp_server.models.accounts import Account
from mcp_server.models.apis import Call, CallKind, Headers, RequestFacts
from mcp_server.models.token_fields import Usage
from mcp_server.models.under_way import PendingRequest, UnderWay
from mcp_server.models.usage import UsageReader
from mcp_server.use_cases.people import model_requests
from mcp_server.world import World

TRIES_MAX = 3  # of a request that fails for no reason of quota; the clients try again too
KEY_REFUSED_MS = 15 * 60_000  # an account whose key was refused is left alone so long


STOPPED = "has stopped this answer"
NO_MORE = "answers no more requests under this budget. Stop working; what you have uploaded is kept."


class Try(Enum):
    """What a try came to."""

    SETTLED = "the client has its answer"
    WAIT = "the account is parked"
    AGAIN = "it failed, and may be repeated"


@dataclass(frozen=True)
class Asking:
    """What the client wants, read and found right."""

    who: Principal
    account: Account
    call: Call
    asked: RequestFacts
    query: str
    headers: Headers
    body: bytes


@dataclass
class Course:
    """How the request went, for the record."""

    outcome: str = "aborted"
    usage: Usage = field(default_factory=Usage)
    tries: int = 0
    waited_s: float = 0.0
    first_byte_s: float | None = None
    note: PendingRequest | None = None  # from its first try on, until it is recorded


class Exchange:
    def __init__(
        self,
        world: World,
        upstream: Upstream,
        under_way: UnderWay,
        asking: Asking,
        answer: ModelResponse,
        meter: Meter,
    ):
        self._world, self._upstream, self._under_way = world, upstream, under_way
        self._asking, self._answer, self._meter = asking, answer, meter
        self._patience = Patience(
            world, asking.who, asking.account, answer, meter, stream=asking.asked.stream
        )
        self.course = Course()

    # -- admission and tries

    async def run(self) -> None:
        """Returns when the client has what it gets, but for the end of it; a cancelled one is where it is."""
        account = self._asking.account
        account.in_flight += 1
        try:
            await self._tries()
        except OverBudget as over:
            begun = self.course.note is not None
            what_happens = STOPPED if begun else NO_MORE
            await self._refuse(
                CallKind.BUDGET, f"{over}: the gateway {what_happens}", "budget" if begun else "refused"
            )
        finally:
            account.in_flight -= 1
            self.course.waited_s = self._patience.waited_s
            self._meter.end()

    async def _tries(self) -> None:
        """Raises Over."""
        account, failures = self._asking.account, 0
        while await self._admitted():
            last = failures + 1 >= TRIES_MAX
            try:
                came_to = await self._one_try(last=last)
            except UpstreamGone as gone:
                if self._answer.begun and not (self._answer.early and not self._answer.passed_on):
                    self.course.outcome = "cut"
                    return
                if last:
                    return await self._refuse(
                        CallKind.UPSTREAM,
                        f"the provider of account {account.name} cannot be reached or broke off ({gone})",
                        "error",
                    )
                came_to = Try.AGAIN
            if came_to is Try.SETTLED:
                return
            if came_to is Try.AGAIN:
                failures += 1
                await self._patience.awake(asyncio.sleep(quota.backoff_ms(failures, random.random()) / 1_000))

    async def _admitted(self) -> bool:
        """Waits for the account as long as that makes sense; otherwise the client has been told, and the
        answer is no.
        """
        if await self._patience.turn():
            return True
        account = self._asking.account
        kind = CallKind.SPENT if account.closed and account.is_parked() else CallKind.BUSY
        after_s, left_s = self._patience.send_away(errors.RETRY_AFTER_S_MAX)
        message = (
            f"account {account.name}: {account.reason or 'rate limit'}; it may be asked again in {left_s} s."
        )
        await self._refuse(
            kind, message, "refused" if not self.course.tries else "error", retry_after_s=after_s
        )
        return False

    async def _one_try(self, *, last: bool) -> Try:
        """Raises Gone and Over."""
        ask, account = self._asking, self._asking.account
        if self.course.note is None:
            self._begin()
        self.course.tries += 1
        asking = self._upstream.ask(account, ask.call, ask.query, ask.headers, ask.body, self._world.now_ms())
        got = await (
            self._patience.awake(asking) if self._patience.waited_s else self._patience.in_time(asking)
        )
        if isinstance(got, Answering):
            account.answered()
            try:
                await self._pass_on(got)
            finally:
                got.close()
            return Try.SETTLED
        if got.quota is not None:
            if account.refused(got.quota, random.random()):
                await self._tell_parked()
            return Try.WAIT
        if got.status >= 500 and not last:
            return Try.AGAIN
        if got.status == 401:
            account.close(self._world.now_ms() + KEY_REFUSED_MS, "the key was refused (401)")
            await self._tell_parked()
            await self._refuse(
                CallKind.AUTH,
                f"the provider refused the key of account {account.name}; a person has to mend that",
                "error",
            )
            return Try.SETTLED
        account.answered()
        await self._pass_error(got)
        return Try.SETTLED

    def _begin(self) -> None:
        """From here on the request counts, even if this process ends now."""
        ask = self._asking
        self._meter.check()
        self.course.note = self._under_way.begin(
            began_ms=self._world.now_ms(),
            agent=ask.who.name,
            session=ask.who.session,
            account=ask.account.name,
            form=str(ask.call.form),
            model=ask.asked.model,
        )
        self._meter.begin()

    async def _tell_parked(self) -> None:
        account = self._asking.account
        await asyncio.to_thread(
            model_requests.parked,
            self._world,
            self._asking.who,
            account.name,
            account.until_ms,
            account.reason,
            closed=account.closed,
        )

    # -- passing on

    async def _pass_on(self, got: Answering) -> None:
        reader = UsageReader(
            self._asking.call.form,
            content_type=got.header("content-type"),
            content_encoding=got.header("content-encoding"),
        )
        if self._answer.early and not got.header("content-type").startswith("text/event-stream"):
            return await self._refuse(
                CallKind.UPSTREAM, "the provider answered a streaming request with no stream", "error"
            )
        try:
            async with asyncio.timeout(self._world.accounts.pace.hold_s):
                chunk = await self._patience.in_time(got.next())
        except TimeoutError:
            await self._answer.start(got.status, apis.response_headers(got.headers))
            chunk = await self._patience.in_time(got.next())
        self.course.first_byte_s = asyncio.get_running_loop().time() - self._patience.began_s
        await self._answer.start(got.status, apis.response_headers(got.headers))
        try:
            await (
                self._pass_within_limits(chunk, got, reader)
                if self._meter.is_limited
                else self._pass_all(chunk, got, reader)
            )
        finally:
            if self.course.outcome not in ("ok", "budget"):
                reader.cut()
            self.course.usage = reader.usage
            self._meter.see(reader.usage)

    async def _pass_all(self, chunk: bytes | None, got: Answering, reader: UsageReader) -> None:
        while chunk is not None:
            await self._answer.chunk(chunk)  # first the client, then the counting
            reader.feed(chunk)
            chunk = await got.next()
        reader.end()
        self.course.outcome = "ok"

    async def _pass_within_limits(self, chunk: bytes | None, got: Answering, reader: UsageReader) -> None:
        """Counts before it passes on; what goes past a limit is stopped where an event ends."""
        while chunk is not None:
            reader.feed(chunk)
            if (over := self._meter.over(reader.usage)) is not None and (end := up_to_event_end(chunk)):
                await self._answer.chunk(chunk[:end])
                raise OverBudget(over)
            await self._answer.chunk(chunk)
            chunk = await (got.next() if reader.usage.complete else self._patience.in_time(got.next()))
        reader.end()
        self.course.outcome = "ok"

    async def _pass_error(self, got: UpstreamFailed) -> None:
        """An error that is the client's to read, as the provider put it; within a stream of ours, in the
        stream's words.
        """
        self.course.outcome = "error"
        if self._answer.begun or got.body is None:
            said = f"the provider of account {self._asking.account.name} answered {got.status}"
            return await self._answer.error(
                CallKind.UPSTREAM, said, status=got.status if got.status >= 400 else None
            )
        headers = [
            (name, value)
            for name, value in apis.response_headers(got.headers)
            if name.lower() != b"content-length"
        ]
        await self._answer.start(got.status, [*headers, (b"content-length", str(len(got.body)).encode())])
        await self._answer.chunk(got.body)

    async def _refuse(
        self, kind: CallKind, message: str, outcome: str, *, retry_after_s: int | None = None
    ) -> None:
        self.course.outcome = outcome
        await self._answer.error(kind, message, retry_after_s=retry_after_s)
