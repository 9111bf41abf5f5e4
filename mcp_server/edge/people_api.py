"""Owns the routes of what people and the harness see and decide: status, spending, the log, tasks, tokens."""

import asyncio
from dataclasses import asdict

from starlette.requests import Request
from starlette.routing import Route

from mcp_server.edge.json_api import (
    PEOPLE,
    Answer,
    ApiRoute,
    BadRequest,
    accepted,
    caller,
    check_cases,
    check_name,
    number,
    read,
    starlette_routes,
    suites_of,
)
from mcp_server.use_cases import status
from mcp_server.use_cases.memory import reports
from mcp_server.use_cases.people import events, spending, tokens
from mcp_server.use_cases.tasks import from_oracle, planning
from mcp_server.wire.events import EventPage, LoggedEvent, MainHistory
from mcp_server.wire.sessions import IssuedToken, RepoBranch, TokenList, TokenRequest
from mcp_server.wire.tasks import (
    TaskDetail,
    TaskList,
    TaskProposal,
    TaskReopening,
    TasksFromOracle,
    TasksFromOracleRequest,
)
from mcp_server.world import World

EVENTS_MAX = 1_000
EVENTS_DEFAULT = 500


class PeopleApi:
    """The routes of people; a runner may call those that only look at the run and its tasks."""

    def __init__(self, world: World):
        self._world = world

    def routes(self) -> list[Route]:
        """Return the routes to mount."""
        return starlette_routes(
            [
                ApiRoute("GET", "/api/status", self.status),
                ApiRoute("GET", "/api/spending", self.spending),
                ApiRoute("GET", "/api/events", self.events, PEOPLE),
                ApiRoute("GET", "/api/commits", self.commits, PEOPLE),
                ApiRoute("GET", "/api/audit/verify", self.verify, PEOPLE),
                ApiRoute("GET", "/api/tasks", self.tasks),
                ApiRoute("POST", "/api/tasks", self.add_task, PEOPLE),
                ApiRoute("POST", "/api/tasks/from-oracle", self.add_tasks_from_oracle, PEOPLE),
                ApiRoute("GET", "/api/tasks/{id}", self.task),
                ApiRoute("POST", "/api/tasks/{id}/reopen", self.reopen_task, PEOPLE),
                ApiRoute("GET", "/api/tokens", self.tokens, PEOPLE),
                ApiRoute("POST", "/api/tokens", self.issue_token, PEOPLE),
                ApiRoute("DELETE", "/api/tokens/{id}", self.revoke_token, PEOPLE),
            ]
        )

    # -- the run

    async def status(self, request: Request) -> Answer:
        """Answer with the run at a glance."""
        return await asyncio.to_thread(status.status, self._world)

    async def spending(self, request: Request) -> Answer:
        """Answer with what models have cost."""
        return await asyncio.to_thread(spending.report, self._world)

    async def events(self, request: Request) -> Answer:
        """Answer with the events that match the query, oldest first."""
        query = request.query_params
        try:
            after = int(query.get("after", "0"))
            limit = int(query.get("limit", str(EVENTS_DEFAULT)))
        except ValueError as wrong:
            raise BadRequest(400, "bad_request", "after and limit are whole numbers") from wrong
        event_filter = events.EventFilter(
            after,
            max(0, min(limit, EVENTS_MAX)),
            query.get("kind"),
            query.get("agent"),
            query.get("task"),
            query.get("commit"),
        )
        matching = await asyncio.to_thread(events.query, self._world, event_filter)
        return EventPage(events=tuple(LoggedEvent(**vars(event)) for event in matching))

    async def commits(self, request: Request) -> Answer:
        """Answer with the first-parent history of a repository's main, oldest first."""
        repo = request.query_params.get("repo") or next(iter(self._world.repos))
        if repo not in self._world.repos:
            raise BadRequest(404, "unknown_repo", f"there is no repository {repo!r}")
        commits = await asyncio.to_thread(events.commits, self._world, repo)
        return MainHistory(commits=tuple(commits))

    async def verify(self, request: Request) -> Answer:
        """Answer whether the audit log is whole."""
        return await asyncio.to_thread(events.verify, self._world)

    # -- tasks

    async def tasks(self, request: Request) -> Answer:
        """Answer with every task, open ones first."""
        listed = await asyncio.to_thread(planning.listed, self._world, caller(request))
        return TaskList.of_json(listed)

    async def task(self, request: Request) -> Answer:
        """Answer with one task, its brief and its report included."""
        all_tasks, holders = await asyncio.to_thread(planning.board, self._world)
        task = all_tasks.get(request.path_params["id"])
        if task is None:
            raise BadRequest(404, "unknown_task", f"there is no task {request.path_params['id']}")
        report = await asyncio.to_thread(reports.of_task, self._world, task.id)
        return TaskDetail.of_json(asdict(task) | {"holder": holders.get(task.id), "report": report})

    async def add_task(self, request: Request) -> Answer:
        """Create a task, or answer with the one that has its title and module already."""
        body = await read(request, TaskProposal)
        proposal = planning.Proposal(
            body.title,
            body.module,
            body.brief,
            paths=body.paths,
            needs=body.needs,
            cases=body.cases,
            suite=body.suite,
            removes=body.removes,
        )
        task = await asyncio.to_thread(planning.create, self._world, caller(request), proposal)
        return TaskDetail.of_json(asdict(accepted(task)))

    async def add_tasks_from_oracle(self, request: Request) -> Answer:
        """Create a task for each cause of what fails on main; `module` is for causes that point to none."""
        body = await read(request, TasksFromOracleRequest)
        await check_cases(self._world)
        wish = from_oracle.Wish(
            suites_of(self._world, body.suite),
            body.module,
            body.limit,
            body.dry_run,
        )
        made = await asyncio.to_thread(from_oracle.from_oracle, self._world, caller(request), wish)
        return TasksFromOracle.of_json(accepted(made))

    async def reopen_task(self, request: Request) -> Answer:
        """Make a done or blocked task open again."""
        body, id = await read(request, TaskReopening), request.path_params["id"]
        task = await asyncio.to_thread(planning.reopen, self._world, caller(request), id, body.reason)
        return TaskDetail.of_json(asdict(accepted(task)))

    # -- tokens

    async def tokens(self, request: Request) -> Answer:
        """Answer with every token that was ever issued, without what would let anybody use it."""
        return TokenList(tokens=tuple(await asyncio.to_thread(tokens.issued, self._world)))

    async def issue_token(self, request: Request) -> Answer:
        """Issue a token to a client that no harness keeps."""
        body = await read(request, TokenRequest)
        check_name(body.agent)
        token, id = await asyncio.to_thread(tokens.issue, self._world, caller(request), body.agent)
        repos = self._world.config.repos.values()
        return IssuedToken(
            agent=body.agent,
            token=token,
            id=id,
            repos=tuple(RepoBranch(name=repo.name, branch=repo.branch) for repo in repos),
        )

    async def revoke_token(self, request: Request) -> Answer:
        """Revoke a token. With `lease=keep`, as a client hands in its own, what it holds goes on until its
        time is up.
        """
        keeps_lease = request.query_params.get("lease") == "keep"
        ended = await asyncio.to_thread(
            tokens.revoke, self._world, caller(request), number(request), keeps_lease=keeps_lease
        )
        if ended is None:
            raise BadRequest(404, "unknown_token", f"there is no live token {number(request)}")
        return ended
