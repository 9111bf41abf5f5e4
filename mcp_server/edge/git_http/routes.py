"""Git over smart HTTP: one Starlette route; fetch for agents and the operator, push for agents.

Rule: an agent pushes below refs/agents/<its name>/ and nowhere else. That is judged here on the command list,
which git is then given rewritten; and for the same request every other ref is hidden from git, which itself
refuses hidden refs.
"""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from mcp_server.core.principal import ADMIN, AGENT, Principal
from mcp_server.edge.git_http import cgi
from mcp_server.edge.git_http import receive as git_push
from mcp_server.repos import process, settings
from mcp_server.repos.commits import AGENT_NAME
from mcp_server.repos.repository import Repository

FETCH, PUSH = "git-upload-pack", "git-receive-pack"
MAY = {AGENT: (FETCH, PUSH), ADMIN: (FETCH,)}  # a runner gets its trees as a tar

REQUEST_S = 600.0  # a clone of a large repository over a slow link
REQUESTS_MAX = 8  # at once by one principal: a sandbox needs two
# So much of a refused request is read, and so long, that its client hears why: any push but a large one.
DRAINED_BYTES_MAX = 1024 * 1024
DRAIN_S = 10.0
FETCH_BYTES_MAX = 8 * 1024 * 1024  # what a fetch sends: the ids that the client has
# A little over receive.maxInputSize, so that git is first and says it better.
PUSH_BYTES_MAX = 66 * 1024 * 1024

NOT_CACHED = {"cache-control": "no-cache, max-age=0, must-revalidate"}
Update = tuple[str, str, str]  # ref, old, new
log = logging.getLogger(__name__)


# Takes principal, repository, service, the updates that took place, and "ok" | "refused" | "error". Called in
# a thread, once for each fetch or push, before its answer ends: whoever has the answer finds the event too.
OnAccess = Callable[[Principal, str, str, list[Update], str], None]


@dataclass
class _Access:
    """What there will be to record of a request."""

    status: str = "error"
    commands: tuple[git_push.RefCommand, ...] = ()
    counts: bool = True  # as a fetch or push: not the requests that only lead up to one


@dataclass(frozen=True)
class _Call:
    """One request that is served."""

    request: Request
    principal: Principal
    repository: Repository
    service: str
    answer: cgi.CgiResponse


def route(repositories: Mapping[str, Repository], on_access: OnAccess) -> Route:
    """Return the route of all repositories, by their names."""
    return Route("/git/{repo}.git/{rest:path}", GitHttp(repositories, on_access))


class GitHttp:
    """The endpoint: an ASGI application behind the authentication, which puts a Principal into the scope."""

    def __init__(self, repositories: Mapping[str, Repository], on_access: OnAccess):
        self._repositories, self._on_access = repositories, on_access
        self._running: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        principal: Principal = scope["principal"]
        repo, service = request.path_params["repo"], _service(request)
        repository = self._repositories.get(repo)
        if repository is None or service is None:
            refusal = _no(404, "no such repository, or not a request of git's smart HTTP protocol")
            await refusal(scope, receive, send)
        elif service not in MAY.get(principal.role, ()) or not AGENT_NAME.fullmatch(principal.name):
            await self._record(principal, repo, service, [], "refused")
            refusal = _no(403, f"{principal.name} may not do {service} here: pushing is for agents")
            await refusal(scope, receive, send)
        elif self._running[principal.name] >= REQUESTS_MAX:
            refusal = _no(429, f"{principal.name} has {REQUESTS_MAX} git requests under way")
            await _drain(request)
            await refusal(scope, receive, send)
        else:
            self._running[principal.name] += 1
            try:
                await self._serve(_Call(request, principal, repository, service, cgi.CgiResponse(send)), repo)
            finally:
                self._running[principal.name] -= 1

    async def _serve(self, call: _Call, repo: str) -> None:
        """Carry the request out and record it; only then end the answer."""
        access = _Access(counts=call.request.method == "POST")
        try:
            async with asyncio.timeout(REQUEST_S):
                await _carry_out(call, access)
        except cgi.Unservable as wrong:
            await _give_up(call.answer, wrong.status, wrong.words)
        except git_push.Malformed as wrong:
            await _give_up(call.answer, 400, str(wrong))
        except TimeoutError:
            await _give_up(call.answer, 408, f"this took more than {REQUEST_S:.0f} s")
        except cgi.ClientGone:
            log.info("%s left in the middle of %s of %s", call.principal.name, call.service, repo)
        finally:
            if access.counts:
                updates = await asyncio.to_thread(_sync_updates, call, access.commands)
                is_refused = access.status == "ok" and len(updates) < len(access.commands)
                status = "refused" if is_refused else access.status
                await self._record(call.principal, repo, call.service, updates, status)
        if access.status != "error":
            await call.answer.end()

    async def _record(
        self, principal: Principal, repo: str, service: str, updates: list[Update], status: str
    ) -> None:
        await asyncio.to_thread(self._on_access, principal, repo, service, updates, status)


async def _carry_out(call: _Call, access: _Access) -> None:
    """Let git answer the request, or refuse the push, and note in `access` what came of it."""
    receive = call.request.receive
    limit = PUSH_BYTES_MAX if call.service == PUSH else FETCH_BYTES_MAX
    body: AsyncIterator[bytes] = cgi.body(call.request.headers, receive, limit)
    if call.request.method == "POST" and call.service == PUSH:
        push = await _read_push(body)
        access.commands = push.commands
        access.counts = bool(push.commands)  # a push of nothing is how git asks whether it may push
        if reasons := git_push.reasons_against(call.principal.name, push.commands):
            access.status = "refused"
            # Were the rest not read, git would say that the connection broke, and nothing else.
            async for _ in body:
                pass
            return await _refuse(call, push, reasons)
        body = _before(git_push.write(push), body)
    elif call.request.method == "POST":
        first = await anext(body, b"")
        access.counts = not first[4:].startswith(b"command=ls-refs")
        body = _before(first, body)
    rest, hide = call.request.path_params["rest"], hidden(call.principal.name, call.request.method)
    arguments, env = settings.http_backend(call.repository.path, rest, _variables(call), hide)
    argv = [process.program(), *arguments]
    succeeded = await cgi.run(argv, env, body, receive, call.answer, may_leave=call.service == FETCH)
    access.status = "ok" if succeeded else "error"


async def _drain(request: Request) -> None:
    """Read the body of a request that is refused, within limits.

    A client whose connection closes while it sends does not hear why.
    """
    with suppress(cgi.Unservable, cgi.ClientGone, TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            async for _ in cgi.body(Headers(), request.receive, DRAINED_BYTES_MAX):
                pass


def _service(request: Request) -> str | None:
    """Return what is asked for, or None for all that smart HTTP does not know, as a repository's file."""
    rest: str = request.path_params["rest"]
    if request.method == "GET" and rest == "info/refs":
        query = request.query_params.multi_items()
        return next((service for service in (FETCH, PUSH) if query == [("service", service)]), None)
    return rest if request.method == "POST" and rest in (FETCH, PUSH) else None


def _variables(call: _Call) -> dict[str, str]:
    """Return the variables of the CGI request.

    Nothing in them is the client's own words but the protocol's version, of one digit.
    """
    get = call.request.method == "GET"
    version = re.fullmatch(r"version=[0-2]", call.request.headers.get("git-protocol", ""))
    return {
        "REQUEST_METHOD": call.request.method,
        "QUERY_STRING": f"service={call.service}" if get else "",
        "CONTENT_TYPE": "" if get else f"application/x-{call.service}-request",
        "REMOTE_USER": call.principal.name,
        "GIT_PROTOCOL": version[0] if version else "",
        "GIT_COMMITTER_NAME": call.principal.name,
        "GIT_COMMITTER_EMAIL": f"{call.principal.name}@{settings.EMAIL_DOMAIN}",
    }


def hidden(agent: str, method: str) -> list[str]:
    """Return the values of receive.hideRefs for one request of the agent's.

    Before a push the branches are shown, or git would upload their whole history; in the push they are
    hidden.
    """
    branches = ["!refs/heads/"] if method == "GET" else []
    return ["refs/", *branches, f"!refs/agents/{agent}/"]


async def _read_push(body: AsyncIterator[bytes]) -> git_push.Push:
    """Read as much of the body as the command list needs. Raise Malformed if it ends before."""
    received = b""
    async for chunk in body:
        received += chunk
        if push := git_push.read(received):
            return push
    raise git_push.Malformed("the list of refs to push is cut short")


async def _before(first: bytes, others: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in others:
        yield chunk


def _sync_updates(call: _Call, commands: tuple[git_push.RefCommand, ...]) -> list[Update]:
    """Make durable what took place of the commands, and return it, before an event tells of it."""
    tips = call.repository.refs.tips(f"refs/agents/{call.principal.name}/") if commands else {}
    updates = [
        (command.ref, command.old, command.new)
        for command in commands
        if tips.get(command.ref) == command.new
    ]
    for ref, _old, _new in updates:
        call.repository.refs.sync(ref)
    return updates


async def _refuse(call: _Call, push: git_push.Push, reasons: dict[str, str]) -> None:
    """Answer with the refusal, all but the end."""
    report = git_push.refusal(call.principal.name, push, reasons)
    answer: Response
    if report is None:
        answer = _no(403, "; ".join(f"{ref}: {why}" for ref, why in reasons.items()))
    else:
        answer = Response(report, media_type=f"application/x-{PUSH}-result", headers=NOT_CACHED)
    # Without a length, so that the client waits for the end, which is sent once the event is recorded.
    headers = [(name, value) for name, value in answer.raw_headers if name != b"content-length"]
    await call.answer.begin(answer.status_code, headers)
    await call.answer.write(bytes(answer.body))


async def _give_up(answer: cgi.CgiResponse, status: int, words: str) -> None:
    """Say why while that can be said; an answer under way stays without an end, and the client takes it for
    broken.
    """
    if not answer.has_begun:
        no = _no(status, words)
        await answer.begin(no.status_code, no.raw_headers)
        await answer.write(bytes(no.body))
        await answer.end()


def _no(status: int, words: str) -> PlainTextResponse:
    """Return an answer in plain text: git shows that, and nothing else, to its user."""
    return PlainTextResponse(f"harness: {words}\n", status)
