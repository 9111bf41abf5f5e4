"""The MCP tools: what each is called and takes, and the use case behind it. Nothing is decided here.

Rule: a tool returns what is to be done, and the engine does it. Its docstring is what a client reads of it.
"""

import inspect
from collections.abc import Callable
from functools import partial
from importlib import metadata
from typing import Annotated, Any, Literal

from mcp.server import MCPServer
from mcp.server.mcpserver.tools.base import Tool
from mcp.types import ToolAnnotations
from pydantic import Field

from mcp_server.core.principal import Principal
from mcp_server.core.refusal import Refused
from mcp_server.edge.mcp_tools.engine import WAIT_S, InThread, OneTransaction, ToolServer
from mcp_server.use_cases.landing import patching, submit
from mcp_server.use_cases.memory import notes, reports
from mcp_server.use_cases.oracle import asking
from mcp_server.use_cases.tasks import claim, planning, release
from mcp_server.world import World

PACKAGE = "harness-swarm"  # pyproject.toml has its version, and nothing else
INSTRUCTIONS = (
    "You share a repository with other agents. "
    "Loop: claim_task, work only inside the lease's paths, commit often, "
    "run_oracle, push, then claim the next. "
    "A refusal says what happened, what holds now and what to do next. "
    "Commits reach the server by git push to refs/agents/<you>/...; "
    "in a sandbox every commit is uploaded by itself. "
    "Without git: read main by the resources harness://REPO/PATH and push(patch=...)."
)

FENCE_MAX = 2**53 - 1  # what every JSON reader can hold
Fence = Annotated[int, Field(description="fence of your lease, from claim_task", ge=1, le=FENCE_MAX)]
READS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
WRITES = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)


def claim_task(task: str | None = None, module: str | None = None) -> OneTransaction[claim.Claimed]:
    """Take a task under a lease: the named one, or the best open one (of a module). Answers with brief,
    fence, paths, base commit, failing cases, salvaged work. Claiming again returns the lease you hold.
    """
    return OneTransaction(
        "leased", partial(claim.claim, task=task, module=module), claim.answer, claim.is_quick_to_answer
    )


def release_task(
    fence: Fence, outcome: Literal["done", "blocked", "abandoned"], note: str = ""
) -> OneTransaction[dict[str, Any]]:
    """Give a lease back. A landing completes its task by itself; use blocked (say in note why, and who
    could unblock) or abandoned otherwise. Uploaded commits are kept for the next holder.
    """
    return OneTransaction(
        "released",
        partial(release.release, fence=fence, outcome=outcome, note=note),
        release.answer,
        release.is_quick_to_answer,
    )


def run_oracle(
    fence: Fence | None = None,
    commit: str | None = None,
    scope: Literal["task", "module", "fast", "full"] = "task",
    cases: list[str] | None = None,
) -> InThread[asking.Started]:
    """Test a commit of yours (default: your last upload) on the cases of your task or module, on these
    and a sample (fast), on all (full), or on case globs (GLOB or SUITE:GLOB). Counts first, then the
    smallest failing cases. status running: call again to wait.
    """
    request = asking.OracleRequest(fence, commit, scope, tuple(cases or ()))
    return InThread(partial(asking.start, request=request), asking.answer)


def push(
    fence: Fence,
    summary: str,
    commit: str | None = None,
    patch: str | None = None,
    base: str | None = None,
) -> InThread[Any]:
    """Submit for landing: a commit (full id, uploaded), or, without git, a patch (unified diff on base,
    default main). It is merged onto main, checked against your paths, tested, and lands as one commit
    with summary as its message. status testing: call again with the same arguments to wait.
    """
    return InThread(
        partial(patching.push, fence=fence, summary=summary, commit=commit, patch=patch, base=base),
        submit.answer,
    )


def submit_report(fence: Fence, markdown: str) -> InThread[dict[str, Any]]:
    """Hand in the result of a task that asks for a report instead of a change; completes it. Others find
    it by read_notes(topic='report/TASK').
    """
    return InThread(partial(reports.submit, fence=fence, markdown=markdown))


def list_tasks() -> InThread[dict[str, Any]]:
    """All tasks with state, holder and what they wait for; open ones first."""
    return InThread(planning.listed)


def create_task(
    title: str,
    module: str,
    brief: str,
    paths: list[str] | None = None,
    needs: list[str] | None = None,
    cases: list[str] | None = None,
) -> InThread[dict[str, Any]]:
    """Propose a task in a module: work you found that is not yours. paths narrow the module's; needs are
    task ids; cases are oracle cases that must pass: GLOB or SUITE:GLOB.
    """
    proposal = planning.Proposal(
        title, module, brief, tuple(paths or ()), tuple(needs or ()), tuple(cases or ())
    )
    return InThread(partial(_create, proposal=proposal))


def _create(world: World, who: Principal, proposal: planning.Proposal) -> dict[str, Any] | Refused:
    task = planning.create(world, who, proposal)
    if isinstance(task, Refused):
        return task
    return {"status": "created", "task": task.id, "module": task.module, "paths": list(task.paths)}


def read_progress() -> InThread[str]:
    """The run as it is now: counts, who holds what, what landed, failing groups, blocked tasks."""
    return InThread(lambda world, _who: notes.read_progress(world))


def read_notes(topic: str | None = None) -> InThread[str]:
    """Notes that agents left, newest first; of a topic, such as a module's name, and those below it (a/b
    below a).
    """
    return InThread(lambda world, _who: notes.read_notes(world, topic))


def write_note(topic: str, text: str) -> InThread[dict[str, Any]]:
    """Leave a note for the other agents: a decision, a trap, an interface. topic: a module's name, or
    MODULE/SUBJECT.
    """
    return InThread(partial(notes.write_note, topic=topic, text=text))


TOOLS = (
    (claim_task, WRITES),
    (release_task, WRITES),
    (run_oracle, WRITES),
    (push, WRITES),
    (submit_report, WRITES),
    (list_tasks, READS),
    (create_task, WRITES),
    (read_progress, READS),
    (read_notes, READS),
    (write_note, WRITES),
)


def build(world: World, wait_s: float = WAIT_S) -> MCPServer:
    """Return the MCP server: every tool annotated, unknown arguments refused, every call answered within
    `wait_s`.
    """
    strict = [_strict(function, hints) for function, hints in TOOLS]
    version = metadata.version(PACKAGE)
    return ToolServer(world, strict, instructions=INSTRUCTIONS, version=version, wait_s=wait_s)


def _strict(function: Callable[..., Any], hints: ToolAnnotations) -> Tool:
    """Return a tool that refuses arguments it does not know: the SDK drops them silently, and a typo would
    look like a success.
    """
    tool = Tool.from_function(
        function, description=inspect.getdoc(function), annotations=hints, structured_output=False
    )
    model = tool.fn_metadata.arg_model
    model.model_config["extra"] = "forbid"
    model.model_rebuild(force=True)
    tool.parameters = model.model_json_schema(by_alias=True)
    return tool
