"""The MCP tools: parse, call a use case, render; nothing is decided here.

Every call is answered within WAIT_S, with progress meanwhile. No call owns work: a call that ends early, or
is dropped, loses nothing, and the same call made again joins what is under way.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.mcpserver.tools.base import Tool
from mcp.types import CallToolResult, Resource, TextContent, ToolAnnotations
from pydantic import Field, ValidationError

from mcp_server import faults
from mcp_server.core import budget
from mcp_server.core.principal import Principal
from mcp_server.core.refusal import Code, Refused
from mcp_server.core.task import Task
from mcp_server.edge.mcp_tools.resources import Resources
from mcp_server.store import Tx, Unwritable
from mcp_server.use_cases.landing import patching, submit
from mcp_server.use_cases.memory import notes, reports
from mcp_server.use_cases.oracle import asking
from mcp_server.use_cases.people import sessions, spending
from mcp_server.use_cases.tasks import claim, planning, release
from mcp_server.world import World

WAIT_S = 45.0  # the shortest client time-out in the field is 60 s
PROGRESS_S = 8.0  # often enough for clients that give up on a silent call
CHARACTERS_MAX = 8_000
SPENT_CHARACTERS = 400
VERSION = "0.1.0"
INSTRUCTIONS = (
    "You share a repository with other agents. Loop: claim_task, work only inside the lease's paths, commit often, "
    "run_oracle, push, then claim the next. A refusal says what happened, what holds now and what to do next. "
    "Commits reach the server by git push to refs/agents/<you>/...; in a sandbox every commit is uploaded by itself. "
    "Without git: read main by the resources harness://REPO/PATH and push(patch=...)."
)

FENCE_MAX = 2**53 - 1  # what every JSON reader can hold
Fence = Annotated[int, Field(description="fence of your lease, from claim_task", ge=1, le=FENCE_MAX)]
Answer = dict | str | Refused
UNSETTLED = ("testing", "running")  # the statuses of work that goes on: a call waits for another


class Tools:
    """The tools over one world. `who` is always the verified token's holder, never an argument."""

    def __init__(self, world: World, wait_s: float = WAIT_S):
        self._world, self._wait_s, self._progress_s = world, wait_s, min(PROGRESS_S, wait_s / 5)

    async def claim_task(
        self, ctx: Context, task: str | None = None, module: str | None = None
    ) -> CallToolResult:
        """Take a task under a lease: the named one, or the best open one (of a module). Answers with brief,
        fence, paths, base commit, failing cases, salvaged work. Claiming again returns the lease you hold.
        """
        decide = lambda world, tx, who: claim.claim(world, tx, who, task, module)  # noqa: E731
        return await self._at_once(
            ctx, "claim_task", "leased", decide, claim.answer, claim.is_told_at_once, task=task, module=module
        )

    async def release_task(
        self, ctx: Context, fence: Fence, outcome: Literal["done", "blocked", "abandoned"], note: str = ""
    ) -> CallToolResult:
        """Give a lease back. A landing completes its task by itself; use blocked (say in note why, and who
        could unblock) or abandoned otherwise. Uploaded commits are kept for the next holder.
        """
        decide = lambda world, tx, who: release.release(world, tx, who, fence, outcome, note)  # noqa: E731
        return await self._at_once(
            ctx,
            "release_task",
            "released",
            decide,
            release.answer,
            release.is_told_at_once,
            fence=fence,
            outcome=outcome,
            note=note,
        )

    async def run_oracle(
        self,
        ctx: Context,
        fence: Fence | None = None,
        commit: str | None = None,
        scope: Literal["task", "module", "fast", "full"] = "task",
        cases: list[str] | None = None,
    ) -> CallToolResult:
        """Test a commit of yours (default: your last upload) on the cases of your task or module, on these
        and a sample (fast), on all (full), or on case globs (GLOB or SUITE:GLOB). Counts first, then the
        smallest failing cases. status running: call again to wait.
        """
        wanted = asking.OracleRequest(fence, commit, scope, tuple(cases or ()))
        start, poll = (
            (lambda who: asking.start(self._world, who, wanted)),
            (lambda started: asking.answer(self._world, started)),
        )
        return await self._call(
            ctx, "run_oracle", start, poll, fence=fence, commit=commit, scope=scope, cases=cases
        )

    async def push(
        self,
        ctx: Context,
        fence: Fence,
        summary: str,
        commit: str | None = None,
        patch: str | None = None,
        base: str | None = None,
    ) -> CallToolResult:
        """Submit for landing: a commit (full id, uploaded), or, without git, a patch (unified diff on base,
        default main). It is merged onto main, checked against your paths, tested, and lands as one commit
        with summary as its message. status testing: call again with the same arguments to wait.
        """
        start, poll = (
            (
                lambda who: patching.push(
                    self._world, who, fence, summary, commit=commit, patch=patch, base=base
                )
            ),
            (lambda submitted: submit.answer(self._world, submitted.id)),
        )
        return await self._call(
            ctx, "push", start, poll, fence=fence, commit=commit, summary=summary, patch=patch, base=base
        )

    async def submit_report(self, ctx: Context, fence: Fence, markdown: str) -> CallToolResult:
        """Hand in the result of a task that asks for a report instead of a change; completes it. Others find
        it by read_notes(topic='report/TASK').
        """
        return await self._call(
            ctx,
            "submit_report",
            lambda who: reports.submit(self._world, who, fence, markdown),
            fence=fence,
            markdown=markdown,
        )

    async def list_tasks(self, ctx: Context) -> CallToolResult:
        """All tasks with state, holder and what they wait for; open ones first."""
        return await self._call(ctx, "list_tasks", lambda who: planning.listed(self._world, who))

    async def create_task(
        self,
        ctx: Context,
        title: str,
        module: str,
        brief: str,
        paths: list[str] | None = None,
        needs: list[str] | None = None,
        cases: list[str] | None = None,
    ) -> CallToolResult:
        """Propose a task in a module: work you found that is not yours. paths narrow the module's; needs are
        task ids; cases are oracle cases that must pass: GLOB or SUITE:GLOB.
        """
        proposal = planning.Proposal(
            title, module, brief, tuple(paths or ()), tuple(needs or ()), tuple(cases or ())
        )
        return await self._call(
            ctx,
            "create_task",
            lambda who: _created(planning.create(self._world, who, proposal)),
            title=title,
            module=module,
            brief=brief,
            paths=paths,
            needs=needs,
            cases=cases,
        )

    async def read_progress(self, ctx: Context) -> CallToolResult:
        """The run as it is now: counts, who holds what, what landed, failing groups, blocked tasks."""
        return await self._call(ctx, "read_progress", lambda _: notes.read_progress(self._world))

    async def read_notes(self, ctx: Context, topic: str | None = None) -> CallToolResult:
        """Notes that agents left, newest first; of a topic, such as a module's name, and those below it (a/b
        below a).
        """
        return await self._call(
            ctx, "read_notes", lambda _: notes.read_notes(self._world, topic), topic=topic
        )

    async def write_note(self, ctx: Context, topic: str, text: str) -> CallToolResult:
        """Leave a note for the other agents: a decision, a trap, an interface. topic: a module's name, or
        MODULE/SUBJECT.
        """
        return await self._call(
            ctx,
            "write_note",
            lambda who: notes.write_note(self._world, who, topic, text),
            topic=topic,
            text=text,
        )

    async def refuse(self, ctx: Context, tool: str, args: dict[str, Any], wrong: ToolError) -> CallToolResult:
        """A call that names no tool of ours, or whose arguments do not fit: refused and logged like any
        other.
        """
        if isinstance(wrong.__cause__, ValidationError):
            problems = [
                f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in wrong.__cause__.errors()
            ]
            refused = Refused(
                Code.BAD_REQUEST,
                f"{tool} was called wrongly: {'; '.join(problems)}",
                "nothing was done",
                "call it again as its schema says",
            )
        else:
            refused = Refused(
                Code.BAD_REQUEST,
                f"there is no tool {tool}",
                "nothing was done",
                "tools/list shows what there is",
            )
        return await self._call(ctx, tool, lambda _: refused, arguments=args)

    async def _call(
        self,
        ctx: Context,
        tool: str,
        act: Callable[[Principal], Any],
        poll: Callable[[Any], Answer] | None = None,
        **args,
    ) -> CallToolResult:
        """Runs the use case once; where its result is under way, `poll`s that until it is settled or the time
        is up. Logs the call.
        """
        who, began = principal(ctx), time.monotonic()
        log = partial(self._log, who, tool, began, args)
        try:
            answer = await self._settled(ctx, tool, partial(act, who), poll, began)
        except (
            asyncio.CancelledError
        ):  # the client went away; what it asked for goes on and a repeated call joins it
            self._world.group.post(log("dropped"))
            raise
        except Exception:
            await self._world.group.write(log("error"))
            raise
        return _answered(answer, await self._world.group.write(log(_status(answer), _code(answer))))

    async def _at_once(
        self,
        ctx: Context,
        tool: str,
        done: str,
        decide: Callable[[World, Tx, Principal], Any],
        tell: Callable[[World, Any], dict],
        is_told_at_once: Callable[[World, Any], bool],
        **args,
    ) -> CallToolResult:
        """As `_call`, for a use case of one transaction, which logs the call too: `decide` in it, and `tell`
        once it is durable.

        `done` is the status of an answer that is no refusal. What is not told at once is told by a thread.
        """
        who, began, dropped = principal(ctx), time.monotonic(), False
        log = partial(self._log, who, tool, began, args)

        def act(tx: Tx) -> tuple[Any, dict | None]:
            decided = decide(self._world.at_one_moment(), tx, who)
            status = "dropped" if dropped else "refused" if isinstance(decided, Refused) else done
            return decided, log(status, _code(decided))(tx)

        try:
            decided, spent = await self._world.group.write(act)
            if isinstance(decided, Refused):
                return _answered(decided, spent)
            told = (
                tell(self._world, decided)
                if is_told_at_once(self._world, decided)
                else await asyncio.to_thread(tell, self._world, decided)
            )
            return _answered(told, spent)
        except (
            asyncio.CancelledError
        ):  # the client went away; what it asked for is done, and a repeated call finds it
            dropped = True
            raise
        except Exception:
            await self._world.group.write(log("error"))
            raise

    def _log(
        self,
        who: Principal,
        tool: str,
        began: float,
        args: dict[str, Any],
        status: str,
        code: str | None = None,
    ) -> Callable[[Tx], dict | None]:
        """Writes the call down; answers with what its caller is to be told of its budget."""

        def act(tx: Tx) -> dict | None:
            world = self._world.at_one_moment()
            sessions.called(
                world, tx, who, tool, status=status, code=code, args=_given(args), ms=_since(began)
            )
            return spending.note(world, tx, who)

        return act

    async def _settled(
        self,
        ctx: Context,
        tool: str,
        act: Callable[[], Any],
        poll: Callable[[Any], Answer] | None,
        began: float,
    ) -> Answer:
        started = await asyncio.to_thread(act)
        if poll is None or isinstance(started, Refused):
            return started
        while True:
            ring = self._world.bell.listen()
            answer = await asyncio.to_thread(poll, started)
            left = self._wait_s - (time.monotonic() - began)
            if _status(answer) not in UNSETTLED or left <= 0:
                return answer
            if not await self._world.bell.heard(ring, min(self._progress_s, left)):
                await ctx.report_progress(time.monotonic() - began, None, f"{tool}: {_status(answer)}")


class ToolServer(MCPServer):
    """The SDK's server, but for two things that it keeps to itself: calls it turns down, and who has listed
    the tools.
    """

    def __init__(self, tools: Tools, world: World, listed: list[Tool]):
        self._resources = Resources(world, principal)
        super().__init__(
            "harness",
            instructions=INSTRUCTIONS,
            version=VERSION,
            tools=listed,
            middleware=[partial(_note_listing, world)],
        )
        self._ours = tools
        self._resources.offer(self)

    async def list_resources(self) -> list[Resource]:
        return self._resources.listed()

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Context | None = None) -> Any:
        assert context is not None
        try:
            return await super().call_tool(name, arguments, context)
        except UnexpectedToolError as wrong:  # ours to mend; `Tools` has logged it
            if isinstance(wrong.__cause__, Unwritable):
                return render(_unavailable(wrong.__cause__))
            raise
        except ToolError as wrong:
            return await self._ours.refuse(context, name, arguments, wrong)


async def _note_listing(world: World, ctx: ServerRequestContext, call_next: CallNext) -> HandlerResult:
    result = await call_next(ctx)
    if ctx.method == "tools/list" and ctx.request is not None:
        await asyncio.to_thread(sessions.listed_tools, world, ctx.request.scope["principal"])
    return result


def principal(ctx: Context) -> Principal:
    """Who calls, as the one token check has found."""
    request = ctx.request_context.request
    assert request is not None, "tools are served over HTTP only"
    return request.scope["principal"]


def render(answer: Answer, spent: dict | None = None) -> CallToolResult:
    """The same data as text and as structure; a refusal is an error to the client, since some show models
    only the text of one.

    `spent` is told to an agent whose model budget is nearly used up.
    """
    if isinstance(answer, str):
        told = (
            f"{answer[: CHARACTERS_MAX - SPENT_CHARACTERS]}\n\nBudget: {spent['note']}"
            if spent
            else answer[:CHARACTERS_MAX]
        )
        return CallToolResult(content=[TextContent(type="text", text=told)])
    value = answer.to_json() if isinstance(answer, Refused) else answer
    value = budget.fit(value if spent is None else {"budget": spent, **value}, CHARACTERS_MAX)
    return CallToolResult(
        content=[TextContent(type="text", text=budget.encode(value))],
        structured_content=value,
        is_error=isinstance(answer, Refused),
    )


def build(world: World, wait_s: float = WAIT_S) -> MCPServer:
    """The MCP server: every tool annotated, unknown arguments refused, every call answered within `wait_s`."""
    tools = Tools(world, wait_s)
    reads = ToolAnnotations(
        read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
    )
    writes = ToolAnnotations(
        read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
    )
    listed = [
        (tools.claim_task, writes),
        (tools.release_task, writes),
        (tools.run_oracle, writes),
        (tools.push, writes),
        (tools.submit_report, writes),
        (tools.list_tasks, reads),
        (tools.create_task, writes),
        (tools.read_progress, reads),
        (tools.read_notes, reads),
        (tools.write_note, writes),
    ]
    return ToolServer(tools, world, [_strict(function, hints) for function, hints in listed])


def _strict(function: Callable, hints: ToolAnnotations) -> Tool:
    """A tool that refuses arguments it does not know: the SDK drops them silently, and a typo would look like
    a success.
    """
    tool = Tool.from_function(function, annotations=hints, structured_output=False)
    model = tool.fn_metadata.arg_model
    model.model_config["extra"] = "forbid"
    model.model_rebuild(force=True)
    tool.parameters = model.model_json_schema(by_alias=True)
    return tool


def _given(args: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in args.items() if value is not None}


def _answered(answer: Answer, spent: dict | None = None) -> CallToolResult:
    """Every answer goes out here, once the call is logged."""
    faults.reached("call.logged")
    return render(answer, spent)


def _created(task: Task | Refused) -> dict | Refused:
    return (
        task
        if isinstance(task, Refused)
        else {"status": "created", "task": task.id, "module": task.module, "paths": list(task.paths)}
    )


def _unavailable(wrong: Unwritable) -> Refused:
    return Refused(
        Code.UNAVAILABLE,
        str(wrong),
        "what you had before this call, you have; nothing was lost",
        "call again with the same arguments in a minute: a person has to make room",
    )


def _status(answer: Answer) -> str:
    if isinstance(answer, Refused):
        return "refused"
    return answer.get("status", "ok") if isinstance(answer, dict) else "ok"


def _code(answer: Any) -> str | None:
    return str(answer.code) if isinstance(answer, Refused) else None


def _since(began: float) -> int:
    return int((time.monotonic() - began) * 1000)
