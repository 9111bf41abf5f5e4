"""The JSON routes for the harness and for people: sessions, oracle jobs, tasks, status, events, tokens,
audit.

Thin: each route checks the role, reads its arguments, calls a use case in a thread and renders the result.
"""

import asyncio
import json
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mcp_server.core.principal import ADMIN, RUNNER, Principal
from mcp_server.core.refusal import Refused
from mcp_server.edge.doors import Doors
from mcp_server.store import people
from mcp_server.use_cases import status
from mcp_server.use_cases.memory import reports
from mcp_server.use_cases.oracle import case_sets, verdicts
from mcp_server.use_cases.oracle import check as oracle_check
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.use_cases.people import agents as crew
from mcp_server.use_cases.people import events, sessions, spending, tokens
from mcp_server.use_cases.tasks import from_oracle, planning
from mcp_server.world import World

CLAIM_WAIT_S_MAX = 25.0
EVENTS_MAX = 1_000
CREW_MAX = 10_000
HEARD_MAX = 20  # kinds of events in a session's output


class BadRequest(Exception):
    """A request that cannot be served: HTTP status, stable code, sentence."""

    def __init__(self, status: int, code: str, message: str):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


T = TypeVar("T")
Handler = Callable[["HttpApi", Request], Awaitable[object]]


def serves(*roles: str) -> Callable[[Handler], Handler]:
    """Marks a handler with the roles that may call it."""

    def mark(handler: Handler) -> Handler:
        handler.roles = frozenset(roles)  # type: ignore[attr-defined]
        return handler

    return mark


class HttpApi:
    def __init__(self, world: World, doors: Doors | None):
        self._world, self._doors = world, doors

    # -- sessions

    @serves(RUNNER, ADMIN)
    async def begin_session(self, request: Request) -> object:
        body = await read(request, {"agent": str, "kind": str, "door": bool})
        _check_name(body["agent"])
        session, token = await asyncio.to_thread(
            sessions.begin, self._world, body["agent"], body["kind"], door=body["door"]
        )
        if session.door and self._doors is not None:
            await self._doors.open(session.id)
        egress = body["agent"] in self._world.config.egress.agents
        return {
            "session": session.id,
            "token": token,
            "door": session.id if session.door else None,
            "egress": egress,
        }

    @serves(RUNNER, ADMIN)
    async def end_session(self, request: Request) -> object:
        body = await read(
            request, {"outcome": str}, {"detail": str, "exit": (int, type(None)), "heard": dict}
        )
        id = request.path_params["id"]
        left = await asyncio.to_thread(
            sessions.end,
            self._world,
            id,
            body["outcome"],
            body.get("detail") or "",
            body.get("exit"),
            _counts(body.get("heard") or {}),
        )
        if left is None:
            raise BadRequest(404, "unknown_session", f"there is no session {id}")
        if self._doors is not None:
            await self._doors.close(id)
        return left

    @serves(RUNNER, ADMIN)
    async def session(self, request: Request) -> object:
        found = await asyncio.to_thread(sessions.facts, self._world, request.path_params["id"])
        if found is None:
            raise BadRequest(404, "unknown_session", f"there is no session {request.path_params['id']}")
        return found

    @serves(RUNNER, ADMIN)
    async def tell_crew(self, request: Request) -> object:
        """What each agent that the harness keeps does now; those that are not named are not kept any more."""
        body = await read(request, {"agents": list})
        if len(body["agents"]) > CREW_MAX:
            raise BadRequest(400, "bad_request", f"at most {CREW_MAX} agents")
        try:
            members = [crew.read(one) for one in body["agents"]]
        except crew.UnreadableAgentState as wrong:
            raise BadRequest(400, "bad_request", str(wrong)) from wrong
        for one in members:
            _check_name(one.agent)
        await asyncio.to_thread(crew.tell, self._world, members)
        return {}

    # -- oracle jobs

    @serves(RUNNER, ADMIN)
    async def claim_job(self, request: Request) -> object:
        body = await read(request, {"runner": str}, {"wait_s": (int, float)})
        loop = asyncio.get_running_loop()
        until = loop.time() + min(float(body.get("wait_s") or 0), CLAIM_WAIT_S_MAX)
        while True:
            ring = self._world.bell.listen()
            job = await asyncio.to_thread(oracle_jobs.claim, self._world, body["runner"])
            left = until - loop.time()
            if job is not None or left <= 0:
                return job
            await self._world.bell.wait_for(ring, left)

    @serves(RUNNER, ADMIN)
    async def renew_job(self, request: Request) -> object:
        body = await read(request, {"runner": str})
        if not await asyncio.to_thread(oracle_jobs.renew, self._world, number(request), body["runner"]):
            raise BadRequest(
                409, "job_lost", f"job {number(request)} is not {body['runner']}'s any more: stop it"
            )
        return {}

    @serves(RUNNER, ADMIN)
    async def job_tree(self, request: Request) -> object:
        tar = await asyncio.to_thread(oracle_jobs.tree, self._world, number(request))
        if tar is None:
            raise BadRequest(404, "unknown_job", f"there is no job {number(request)}")
        return Response(tar, media_type="application/x-tar")

    @serves(RUNNER, ADMIN)
    async def job_reference_files(self, request: Request) -> object:
        tar = await asyncio.to_thread(oracle_jobs.reference_files, self._world, number(request))
        if tar is None:
            raise BadRequest(404, "unknown_job", f"there is no job {number(request)}")
        return Response(tar, media_type="application/x-tar")

    @serves(RUNNER, ADMIN)
    async def finish_job(self, request: Request) -> object:
        body = await read(request, {"runner": str, "verdict": dict}, {"reference": dict})
        try:
            taken = await asyncio.to_thread(
                oracle_jobs.finish,
                self._world,
                number(request),
                body["runner"],
                body["verdict"],
                body.get("reference") or {},
            )
        except verdicts.UnreadableVerdict as wrong:
            raise BadRequest(400, "bad_request", str(wrong)) from wrong
        if not taken:
            raise BadRequest(
                409,
                "job_lost",
                f"job {number(request)} is not {body['runner']}'s any more: its result counts for nothing",
            )
        return {}

    @serves(RUNNER, ADMIN)
    async def job(self, request: Request) -> object:
        """With `wait_s`: once it has a verdict, or after so long."""
        try:
            wait_s = float(request.query_params.get("wait_s", "0"))
        except ValueError as wrong:
            raise BadRequest(400, "bad_request", "wait_s is a number of seconds") from wrong
        loop = asyncio.get_running_loop()
        until = loop.time() + min(wait_s, CLAIM_WAIT_S_MAX)
        while True:
            ring = self._world.bell.listen()
            found = await asyncio.to_thread(status.job, self._world, number(request))
            if found is None:
                raise BadRequest(404, "unknown_job", f"there is no job {number(request)}")
            left = until - loop.time()
            if found["verdict"] or not left > 0:
                return found
            await self._world.bell.wait_for(ring, left)

    @serves(ADMIN)
    async def run_oracle(self, request: Request) -> object:
        """One run per suite (or of one suite) on a commit; `fresh` runs every case whatever is known."""
        body = await read(
            request, {}, {"suite": (str, type(None)), "commit": (str, type(None)), "fresh": bool}
        )
        names = self._suites(body.get("suite"))
        await self._check_cases()
        return {"jobs": {name: await asyncio.to_thread(self._run, name, body) for name in names}}

    def _suites(self, named: str | None) -> tuple[str, ...]:
        if named is not None and named not in self._world.config.suites:
            raise BadRequest(404, "unknown_suite", f"there is no oracle {named!r}")
        return (named,) if named is not None else tuple(self._world.config.suites)

    async def _check_cases(self) -> None:
        """People are told everything that is wrong with the cases, before anything is run on them."""
        if problems := await asyncio.to_thread(case_sets.problems, self._world):
            raise BadRequest(409, "bad_cases", "\n".join(map(str, problems)))

    def _run(self, name: str, body: dict) -> int:
        repo = self._world.config.suites[name].repo
        commit = (
            self._world.repos[repo].commits.resolve(body["commit"])
            if body.get("commit")
            else self._world.main(repo)
        )
        if commit is None:
            raise BadRequest(404, "commit_unknown", f"repository {repo} has no commit {body['commit']}")
        nonce = f"fresh {secrets.token_hex(8)}" if body.get("fresh") else ""
        return oracle_jobs.request(
            self._world, oracle_jobs.JobRequest(name, commit, oracle_jobs.AUDIT, nonce=nonce)
        ).id

    @serves(RUNNER, ADMIN)
    async def check_oracle(self, request: Request) -> object:
        await self._check_cases()
        jobs = {
            name: await asyncio.to_thread(oracle_check.ask, self._world, name)
            for name in self._world.config.suites
        }
        return [{"suite": name, "job": job.id} for name, job in jobs.items()]

    # -- what people see

    @serves(RUNNER, ADMIN)
    async def status(self, request: Request) -> object:
        return await asyncio.to_thread(status.status, self._world)

    @serves(RUNNER, ADMIN)
    async def spending(self, request: Request) -> object:
        return await asyncio.to_thread(spending.report, self._world)

    @serves(ADMIN)
    async def events(self, request: Request) -> object:
        asked = request.query_params
        try:
            after, limit = (
                int(asked.get("after", "0")),
                max(0, min(int(asked.get("limit", "500")), EVENTS_MAX)),
            )
        except ValueError as wrong:
            raise BadRequest(400, "bad_request", "after and limit are whole numbers") from wrong
        wanted = events.EventFilter(
            after, limit, asked.get("kind"), asked.get("agent"), asked.get("task"), asked.get("commit")
        )
        return {
            "events": [asdict(event) for event in await asyncio.to_thread(events.query, self._world, wanted)]
        }

    @serves(ADMIN)
    async def commits(self, request: Request) -> object:
        repo = request.query_params.get("repo") or next(iter(self._world.repos))
        if repo not in self._world.repos:
            raise BadRequest(404, "unknown_repo", f"there is no repository {repo!r}")
        return {"commits": await asyncio.to_thread(events.commits, self._world, repo)}

    @serves(ADMIN)
    async def verify(self, request: Request) -> object:
        return await asyncio.to_thread(events.verify, self._world)

    # -- tasks and tokens

    @serves(RUNNER, ADMIN)
    async def tasks(self, request: Request) -> object:
        return await asyncio.to_thread(planning.listed, self._world, who(request))

    @serves(RUNNER, ADMIN)
    async def task(self, request: Request) -> object:
        all_tasks, holders = await asyncio.to_thread(planning.board, self._world)
        found = all_tasks.get(request.path_params["id"])
        if found is None:
            raise BadRequest(404, "unknown_task", f"there is no task {request.path_params['id']}")
        report = await asyncio.to_thread(reports.of_task, self._world, found.id)
        return asdict(found) | {"holder": holders.get(found.id), "report": report}

    @serves(ADMIN)
    async def add_task(self, request: Request) -> object:
        body = await read(
            request,
            {"title": str, "module": str, "brief": str},
            {"paths": list, "needs": list, "cases": list, "suite": str},
        )
        lists = {name: tuple(body.get(name) or ()) for name in ("paths", "needs", "cases")}
        proposal = planning.Proposal(
            body["title"], body["module"], body["brief"], suite=body.get("suite"), **lists
        )
        return asdict(accepted(await asyncio.to_thread(planning.create, self._world, who(request), proposal)))

    @serves(ADMIN)
    async def tasks_from_oracle(self, request: Request) -> object:
        """One task for each cause of what fails on main; `module` is for causes that point to none."""
        body = await read(
            request,
            {},
            {
                "suite": (str, type(None)),
                "module": (str, type(None)),
                "limit": (int, type(None)),
                "dry_run": bool,
            },
        )
        await self._check_cases()
        wish = from_oracle.Wish(
            self._suites(body.get("suite")),
            body.get("module"),
            body.get("limit"),
            body.get("dry_run") or False,
        )
        return accepted(await asyncio.to_thread(from_oracle.from_oracle, self._world, who(request), wish))

    @serves(ADMIN)
    async def reopen_task(self, request: Request) -> object:
        body = await read(request, {}, {"reason": str})
        id = request.path_params["id"]
        return asdict(
            accepted(
                await asyncio.to_thread(
                    planning.reopen, self._world, who(request), id, body.get("reason") or ""
                )
            )
        )

    @serves(ADMIN)
    async def tokens(self, request: Request) -> object:
        with self._world.store.read() as tx:
            found = people.all_tokens(tx)
        hidden = {"sha256"}
        return {
            "tokens": [
                {name: value for name, value in asdict(token).items() if name not in hidden}
                for token in found
            ]
        }

    @serves(ADMIN)
    async def issue_token(self, request: Request) -> object:
        body = await read(request, {"agent": str})
        _check_name(body["agent"])
        token, id = await asyncio.to_thread(tokens.issue, self._world, who(request), body["agent"])
        return {
            "agent": body["agent"],
            "token": token,
            "id": id,
            "repos": [
                {"name": repo.name, "branch": repo.branch} for repo in self._world.config.repos.values()
            ],
        }

    @serves(ADMIN)
    async def revoke_token(self, request: Request) -> object:
        """With `lease=keep`, as a client hands in its own: what it holds goes on until its time is up."""
        keeps = request.query_params.get("lease") == "keep"
        ended = await asyncio.to_thread(
            tokens.revoke, self._world, who(request), number(request), keeps_lease=keeps
        )
        if ended is None:
            raise BadRequest(404, "unknown_token", f"there is no live token {number(request)}")
        return ended

    def routes(self) -> list[Route]:
        table: list[tuple[str, str, Handler]] = [
            ("POST", "/api/sessions", HttpApi.begin_session),
            ("GET", "/api/sessions/{id}", HttpApi.session),
            ("POST", "/api/sessions/{id}/end", HttpApi.end_session),
            ("PUT", "/api/crew", HttpApi.tell_crew),
            ("POST", "/api/jobs/claim", HttpApi.claim_job),
            ("GET", "/api/jobs/{id}", HttpApi.job),
            ("POST", "/api/jobs/{id}/renew", HttpApi.renew_job),
            ("GET", "/api/jobs/{id}/tree.tar", HttpApi.job_tree),
            ("GET", "/api/jobs/{id}/reference.tar", HttpApi.job_reference_files),
            ("POST", "/api/jobs/{id}/result", HttpApi.finish_job),
            ("POST", "/api/oracle/run", HttpApi.run_oracle),
            ("POST", "/api/oracle/check", HttpApi.check_oracle),
            ("GET", "/api/status", HttpApi.status),
            ("GET", "/api/spending", HttpApi.spending),
            ("GET", "/api/events", HttpApi.events),
            ("GET", "/api/commits", HttpApi.commits),
            ("GET", "/api/audit/verify", HttpApi.verify),
            ("GET", "/api/tasks", HttpApi.tasks),
            ("POST", "/api/tasks", HttpApi.add_task),
            ("POST", "/api/tasks/from-oracle", HttpApi.tasks_from_oracle),
            ("GET", "/api/tasks/{id}", HttpApi.task),
            ("POST", "/api/tasks/{id}/reopen", HttpApi.reopen_task),
            ("GET", "/api/tokens", HttpApi.tokens),
            ("POST", "/api/tokens", HttpApi.issue_token),
            ("DELETE", "/api/tokens/{id}", HttpApi.revoke_token),
        ]
        return [Route(path, self._endpoint(handler), methods=[method]) for method, path, handler in table]

    def _endpoint(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                if who(request).role not in handler.roles:  # type: ignore[attr-defined]
                    raise BadRequest(403, "forbidden", f"a token of role {who(request).role} may not do this")
                answer = await handler(self, request)
            except BadRequest as bad:
                return JSONResponse({"error": bad.code, "message": bad.message}, bad.status)
            if isinstance(answer, Response):
                return answer
            return Response(status_code=204) if answer is None else JSONResponse(answer)

        return endpoint


def who(request: Request) -> Principal:
    return request.scope["principal"]


def number(request: Request) -> int:
    digits = request.path_params["id"]
    if not re.fullmatch(r"[0-9]{1,18}", digits):  # 18 digits fit the database's integers
        raise BadRequest(404, "unknown", f"{digits!r} is not a number of ours")
    return int(digits)


def _counts(heard: dict) -> dict[str, int]:
    if len(heard) > HEARD_MAX or any(type(count) is not int or count < 0 for count in heard.values()):
        raise BadRequest(400, "bad_request", f"heard holds at most {HEARD_MAX} counts")
    return heard


def _check_name(agent: str) -> None:
    """A name becomes part of refs, container names and commits; those of the roles are not an agent's."""
    if not events.AGENT_NAME.fullmatch(agent) or agent in (ADMIN, RUNNER):
        allowed = "letters, digits, dashes and underscores, dots between them, at most 60 characters, not admin or runner"
        raise BadRequest(400, "bad_request", f"{agent!r} is no agent's name: {allowed}")


def accepted(answer: T | Refused) -> T:
    if isinstance(answer, Refused):
        raise BadRequest(409, str(answer.code), f"{answer.happened}; {answer.holds}; {answer.next}")
    return answer


async def read(request: Request, required: dict, optional: dict | None = None) -> dict:
    """The JSON object of a request, with exactly the fields expected."""
    raw = await request.body()
    try:
        body = json.loads(raw or b"{}")
    except ValueError as wrong:
        raise BadRequest(400, "bad_request", f"the body is not JSON: {wrong}") from wrong
    allowed = required | (optional or {})
    if not isinstance(body, dict) or (
        problems := [*(set(body) - set(allowed)), *(set(required) - set(body))]
    ):
        raise BadRequest(
            400,
            "bad_request",
            f"expected an object with {', '.join(allowed)}; wrong or missing: {problems if isinstance(body, dict) else 'everything'}",
        )
    if wrong := [name for name, value in body.items() if not isinstance(value, allowed[name])]:
        raise BadRequest(400, "bad_request", f"wrong type: {', '.join(wrong)}")
    return body
