"""The one way of every tool call: from its arguments to its answer, and into the log.

Rule: a call is written down here and nowhere else, and so is its refusal, in the same transaction; that is
the use case's own where it has one. What the gate refused, and a call only reads, is in the log already.

Every call is answered within the time that a client waits, with progress meanwhile. No call owns work: one
that ends early, or is dropped, loses nothing, and the same call made again joins what is under way.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import UnexpectedToolError
from mcp.server.mcpserver.tools.base import Tool
from mcp.types import CallToolResult, Resource
from pydantic import ValidationError

from mcp_server import faults
from mcp_server.core import budget
from mcp_server.core.principal import Principal
from mcp_server.core.refusal import Refused
from mcp_server.edge.mcp_tools import answers
from mcp_server.edge.mcp_tools.answers import Answer
from mcp_server.edge.mcp_tools.resources import Resources
from mcp_server.store import Tx, Unwritable
from mcp_server.store import leases as lease_rows
from mcp_server.use_cases.people import sessions, spending
from mcp_server.world import World

NAME = "harness"
WAIT_S = 45.0  # the shortest client time-out in the field is 60 s
PROGRESS_S = 8.0  # often enough for clients that give up on a silent call
PROGRESS_PER_WAIT = 5  # at least so many signs of life, however short the wait is
LOGGED_MAX = 1_000  # characters of what a refusal says in the log, which an agent's words may be part of
LOGGED_NAME_MAX = 100  # of the name of a tool or a task that an agent asked for
THREADS_OF_AGENT = 4  # that the calls of one agent have at once; the others wait, and nobody else does
UNSETTLED = ("testing", "running")  # the statuses of work that goes on: a call waits for another

# What clients send to a tool without parameters, since their models' vendors forbid an empty schema.
DUMMIES = frozenset(
    {"_", "_dummy", "_placeholder", "dummy", "noop", "placeholder", "random_string", "unused"}
)

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class OneTransaction(Generic[T]):
    """A use case of one transaction, which its call is logged in.

    `decide` runs on the loop and must not wait; `answer`, if there is one, is asked once the decision is
    durable, and in a thread unless it `is_quick`. `status` is logged for what is no refusal.
    """

    status: str
    decide: Callable[[World, Tx, Principal], T | Refused]
    answer: Callable[[World, T], Answer] | None = None
    is_quick: Callable[[World, T], bool] | None = None


@dataclass(frozen=True)
class InThread(Generic[T]):
    """A use case that opens its transactions itself, in a thread.

    What `start` returns is the answer, or else what `answer` is asked about until it is settled. A refusal by
    `start` is one of this call; one that `answer` tells was made, and logged, elsewhere.
    """

    start: Callable[[World, Principal], T | Refused]
    answer: Callable[[World, T], Answer] | None = None


Act = OneTransaction[Any] | InThread[Any]


@dataclass
class ToolCall:
    """One call of a tool while it is answered."""

    who: Principal
    tool: str
    context: Context[Any, Any]
    began_s: float
    args: dict[str, Any] = field(default_factory=dict)
    refusal: Refused | None = None  # made by this call, to be logged with it
    is_dropped: bool = False  # its client went away
    has_record: bool = False  # the group of writers has it, or will have it as soon as it may write

    @property
    def age_s(self) -> float:
        """Return for how long the call has been under way."""
        return time.monotonic() - self.began_s


class ToolServer(MCPServer):
    """The SDK's server over one world. Who calls is always the verified token's holder, never an argument."""

    def __init__(
        self, world: World, tools: Sequence[Tool], *, instructions: str, version: str, wait_s: float
    ) -> None:
        super().__init__(
            NAME,
            instructions=instructions,
            version=version,
            tools=list(tools),
            middleware=[partial(_note_listing, world)],
        )
        self._world = world
        self._by_name = {tool.name: tool for tool in tools}
        self._wait_s, self._progress_s = wait_s, min(PROGRESS_S, wait_s / PROGRESS_PER_WAIT)
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._resources = Resources(world, principal)
        self._resources.offer(self)

    async def list_resources(self) -> list[Resource]:
        """Return what a client may read first."""
        return self._resources.listed()

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult:
        """Return the answer to one call, once it is logged. Raise UnexpectedToolError for a fault of ours."""
        assert context is not None
        name = budget.cut(name, LOGGED_NAME_MAX)
        call = ToolCall(principal(context), name, context, time.monotonic())
        try:
            act = self._act(call, arguments)
            if isinstance(act, OneTransaction):
                call.has_record = True
                decided, spent = await self._world.group.post(partial(self._decide, call, act))
                answer = await self._answer(call, act, decided)
            else:
                answer = await self._settled(call, act)
                call.has_record = True
                spent = await self._world.group.post(partial(self._log, call, answer))
        except asyncio.CancelledError:
            # What its client asked for goes on, and a repeated call finds it.
            call.is_dropped = True
            if not call.has_record:
                self._world.group.post(partial(self._record, self._world, call, "dropped", None))
            raise
        except Exception as wrong:  # noqa: BLE001 - logged, then answered or raised
            answer, spent = await self._failed(call, wrong), None
        faults.reached("call.logged")
        return answers.render(answer, spent)

    def _act(self, call: ToolCall, arguments: dict[str, Any]) -> Act:
        """Return what a call asks for; one that names no tool of ours, or whose arguments do not fit, asks to
        be refused.
        """
        tool = self._by_name.get(call.tool)
        call.args = {"arguments": arguments}
        if tool is None:
            return _refusing(answers.no_tool(call.tool))
        try:
            args = tool.fn_metadata.validate_arguments(present(tool, arguments))
        except ValidationError as wrong:
            return _refusing(answers.wrong_arguments(call.tool, wrong))
        call.args = {name: value for name, value in args.items() if value is not None}
        act: Act = tool.fn(**args)
        return act

    # -- a use case of one transaction

    def _decide(
        self, call: ToolCall, act: OneTransaction[T], tx: Tx
    ) -> tuple[T | Refused, dict[str, Any] | None]:
        """Return the decision, and what is left of the caller's budget if it should know."""
        world = self._world.at_one_moment()
        decided = act.decide(world, tx, call.who)
        if not isinstance(decided, Refused):
            return decided, self._record(world, call, act.status, None, tx)
        call.refusal = decided
        return decided, self._record(world, call, "refused", str(decided.code), tx)

    async def _answer(self, call: ToolCall, act: OneTransaction[T], decided: T | Refused) -> Answer:
        if isinstance(decided, Refused):
            return decided
        assert act.answer is not None, "what is no refusal has an answer"
        if act.is_quick is not None and act.is_quick(self._world, decided):
            return act.answer(self._world, decided)
        return await self._in_thread(call.who, act.answer, self._world, decided)

    # -- a use case in a thread

    async def _settled(self, call: ToolCall, act: InThread[Any]) -> Answer:
        """Return the answer once it is settled, or the last one when the time is up."""
        started = await self._in_thread(call.who, act.start, self._world, call.who)
        if isinstance(started, Refused):
            call.refusal = started
        if act.answer is None or isinstance(started, Refused):
            return started
        while True:
            ring = self._world.bell.listen()
            answer = await self._in_thread(call.who, act.answer, self._world, started)
            left_s = self._wait_s - call.age_s
            if answers.status(answer) not in UNSETTLED or left_s <= 0:
                return answer
            if not await self._world.bell.wait_for(ring, min(self._progress_s, left_s)):
                message = f"{call.tool}: {answers.status(answer)}"
                await call.context.report_progress(call.age_s, None, message)

    async def _in_thread(self, who: Principal, run: Callable[..., R], *args: Any) -> R:
        """Return what `run` returns, in a thread, once the agent has one of its THREADS_OF_AGENT free."""
        turn = self._turns.setdefault(who.name, asyncio.Semaphore(THREADS_OF_AGENT))
        async with turn:
            return await asyncio.to_thread(run, *args)

    # -- the log

    async def _failed(self, call: ToolCall, wrong: Exception) -> Refused:
        """Return the refusal of a call during which nothing could be written. Raise UnexpectedToolError for
        any other fault: what is wrong with us is logged here, and is nothing to a client.
        """
        call.refusal = answers.unavailable(wrong) if isinstance(wrong, Unwritable) else None
        status, code = ("refused", str(call.refusal.code)) if call.refusal else ("error", None)
        try:
            await self._world.group.post(partial(self._record, self._world, call, status, code))
        except Unwritable as unwritable:
            return answers.unavailable(unwritable)
        if call.refusal is None:
            raise UnexpectedToolError(f"Error executing tool {call.tool}") from wrong
        return call.refusal

    def _log(self, call: ToolCall, answer: Answer, tx: Tx) -> dict[str, Any] | None:
        code = str(answer.code) if isinstance(answer, Refused) else None
        return self._record(self._world, call, answers.status(answer), code, tx)

    def _record(
        self, world: World, call: ToolCall, status: str, code: str | None, tx: Tx
    ) -> dict[str, Any] | None:
        """Write the call down, and its refusal.

        Return what is left of the caller's budget if it should know.
        """
        world = world.at_one_moment()
        if call.refusal is not None:
            _record_refusal(world, tx, call, call.refusal)
        sessions.called(
            world,
            tx,
            call.who,
            call.tool,
            status="dropped" if call.is_dropped else status,
            code=code,
            args=call.args,
            ms=int(call.age_s * 1000),
        )
        return spending.note(world, tx, call.who)


def _record_refusal(world: World, tx: Tx, call: ToolCall, refusal: Refused) -> None:
    """Write the one event of a refusal, with the task that it is about if the call names it or its fence."""
    fence, task = call.args.get("fence"), call.args.get("task")
    if fence is not None and (lease := lease_rows.get(tx, fence)) is not None:
        task = lease.task
    commit = {"commit": budget.cut(call.args["commit"], LOGGED_MAX)} if "commit" in call.args else {}
    world.record(
        tx,
        "refusal",
        call.who,
        task=None if task is None else budget.cut(task, LOGGED_NAME_MAX),
        fence=fence,
        tool=call.tool,
        code=str(refusal.code),
        happened=budget.cut(refusal.happened, LOGGED_MAX),
        **commit,
    )


def present(tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments that mean something.

    Some clients fill in every optional argument with an empty string, and send a dummy to a tool that takes
    none.
    """
    fields = tool.fn_metadata.arg_model.model_fields
    if not fields:
        return {name: value for name, value in arguments.items() if value and name not in DUMMIES}
    optional = {field.alias or name for name, field in fields.items() if not field.is_required()}
    return {name: value for name, value in arguments.items() if name not in optional or value != ""}


def _refusing(refusal: Refused) -> OneTransaction[Any]:
    return OneTransaction("refused", lambda _world, _tx, _who: refusal)


async def _note_listing(world: World, ctx: ServerRequestContext, call_next: CallNext) -> HandlerResult:
    """Note that a session's program has seen the tools, which is what tools/list is to us."""
    result = await call_next(ctx)
    if ctx.method == "tools/list" and ctx.request is not None:
        await asyncio.to_thread(sessions.listed_tools, world, ctx.request.scope["principal"])
    return result


def principal(ctx: Context[Any, Any]) -> Principal:
    """Return who calls, as the one check of tokens has found."""
    request = ctx.request_context.request
    assert request is not None, "tools are served over HTTP only"
    who = request.scope["principal"]
    assert isinstance(who, Principal)
    return who
