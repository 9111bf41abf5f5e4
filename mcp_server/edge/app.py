"""The composition root: makes the world from a configuration and a state directory, and one Starlette app
over it.
"""

import asyncio
import dataclasses
import logging
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_server import faults
from mcp_server.audit import Audit, SigningKey
from mcp_server.bell import Bell
from mcp_server.config import Config
from mcp_server.core.principal import ADMIN, AGENT, RUNNER, Principal
from mcp_server.edge import caretaker
from mcp_server.edge.auth import Authenticated
from mcp_server.edge.doors import Doors
from mcp_server.edge.egress import proxy as egress
from mcp_server.edge.git_http import routes as git_http
from mcp_server.edge.mcp_tools import engine, tools
from mcp_server.edge.model_proxy.proxy import ModelProxy
from mcp_server.edge.people_api import PeopleApi
from mcp_server.edge.runner_api import RunnerApi
from mcp_server.edge.sessions_api import SessionsApi
from mcp_server.gate import Gate
from mcp_server.models import opening
from mcp_server.repos import held_out
from mcp_server.repos.held_out import HeldOut
from mcp_server.repos.repository import Repository
from mcp_server.store import CommitGroup, Store, Unwritable, meta, people
from mcp_server.use_cases import leasing, status
from mcp_server.use_cases.oracle import baseline, case_sets, fresh, red, suite_images, tip_check
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.use_cases.people import credentials, events, model_requests, sessions, spending
from mcp_server.use_cases.tasks import from_oracle, planning
from mcp_server.world import World
from oracle.cases.files import BadCases, CaseProblem

TICK_S = 1.0
THREADS = 32  # for what waits for git or the disk, which needs no core for each
REQUEST_BYTES_MAX = 1 << 20
SECRET = "held-out secret"
HOSTS = ["127.0.0.1:*", "localhost:*", "server:*"]  # `server` is its name inside compose.yaml
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StateDir:
    """Where a server keeps what it owns."""

    root: Path

    def prepare(self) -> None:
        for name in ("repos", "audit", "tokens", "doors", "logs"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / "tokens").chmod(0o700)

    @property
    def database(self) -> Path:
        return self.root / "state.db"

    @property
    def doors(self) -> Path:
        return self.root / "doors"


def wall_ms() -> int:
    """Return the time of this machine, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def open_world(
    config: Config,
    state: StateDir,
    bell: Bell,
    now_ms: Callable[[], int] = wall_ms,
    environ: Mapping[str, str] = os.environ,
) -> World:
    """Open or create everything that lasts. Raise Unsafe, git's Diverged or NoSuchBranch, oracle's BadCases,
    or BadKey if it cannot be used.
    """
    accounts = opening.open_accounts(config, environ, now_ms)
    state.prepare()
    store = Store.open(state.database)
    audit = Audit(
        store, SigningKey.open(state.root / "audit" / "key.pem"), state.root / "audit" / "checkpoints"
    )
    audit.check_not_rolled_back()
    repos = {name: _repository(state.root / "repos" / f"{name}.git") for name in config.repos}
    world = World(config, store, repos, audit, bell, CommitGroup(store), now_ms)
    world.accounts.by_name.update(accounts)
    model_requests.load(world)
    red.load(world)
    suite_images.load(world)
    for role in (ADMIN, RUNNER):
        credentials.write_role_token(store, state.root / "tokens" / role, role, now_ms())
    _import_main(world)
    faults.reached("start.imported")
    world = _with_cases(world)
    planning.import_tasks(world)
    oracle_jobs.take_back(world)
    sessions.find_untold(world)
    leasing.find_unkept(world)
    leasing.keep_salvage(world)
    for warning in status.warnings(world):
        log.warning("%s", warning)
    return world


def _with_cases(world: World) -> World:
    """Return the world with the held-out cases. Raise BadCases with every problem if one cannot be read."""
    hidden: dict[str, HeldOut] = {}
    problems: list[CaseProblem] = []
    for name, suite in world.config.suites.items():
        if not suite.held_out:
            continue
        try:
            files = held_out.files_of(suite, world.config.root)
            problems += held_out.in_repositories(world.config, world.repos, files)
            hidden[name] = held_out.load(suite, files, _secret(world.store))
        except BadCases as bad:
            problems += bad.problems
    world = dataclasses.replace(world, held_out=hidden)
    if problems := [*case_sets.problems(world), *problems]:
        raise BadCases(problems)
    return world


def _secret(store: Store) -> str:
    """Return what the names of held-out cases are made with; draw it if the database has none."""
    with store.write() as tx:
        secret = meta.get(tx, SECRET)
        if secret is None:
            secret = secrets.token_hex(32)
            meta.put(tx, SECRET, secret)
    return secret


def _repository(path: Path) -> Repository:
    return Repository.open(path) if path.exists() else Repository.create(path)


def _import_main(world: World) -> None:
    for name, repo in world.config.repos.items():
        old = world.repos[name].refs.tips(world.main_ref(name)).get(world.main_ref(name))
        imported = world.repos[name].exchange.import_branch(world.config.root / repo.path, repo.branch)
        # Unrecorded though unchanged: an earlier start ended between the import and its event.
        if imported.changed or not events.accounts_for(world, name, imported.commit):
            with world.store.write() as tx:
                world.record(tx, "main_imported", repo=name, branch=repo.branch, old=old, new=imported.commit)


def build(world: World, doors: Doors | None = None, wait_s: float = engine.WAIT_S) -> Starlette:
    """Make the app. `doors` is None if no sandbox is served; a tool call is answered within `wait_s`."""
    if doors is not None and (proxy := egress.proxy(world)) is not None:
        doors.tunnel = proxy.serve
    mcp, gateway = tools.build(world, wait_s), ModelProxy(world)
    # A page on this machine may ask, with a token; pages from elsewhere, and names that were made to point
    # here, may not.
    security = TransportSecuritySettings(
        allowed_hosts=HOSTS, allowed_origins=[f"http://{host}" for host in HOSTS]
    )
    mcp_app = mcp.streamable_http_app(
        streamable_http_path="/mcp",
        stateless_http=True,
        json_response=False,
        max_request_body_size=REQUEST_BYTES_MAX,
        transport_security=security,
    )
    routes = [
        Route("/health", lambda _: JSONResponse({"ok": True, "run": world.config.run.name})),
        Route("/mcp", lambda _: PlainTextResponse("POST only", 405, {"Allow": "POST"}), methods=["GET"]),
        # Routes are tried in order, and nearly every request is for this one.
        Route("/mcp", AgentsOnly(mcp_app)),
        git_http.route(world.repos, lambda *access: _on_git(world, *access)),
        *SessionsApi(world, doors).routes(),
        *RunnerApi(world).routes(),
        *PeopleApi(world).routes(),
        *gateway.routes(),
        Mount("/", AgentsOnly(mcp_app)),
    ]
    unwritable = {
        Unwritable: lambda _, wrong: JSONResponse({"error": "unavailable", "message": str(wrong)}, 503)
    }
    middleware = [Middleware(Authenticated, store=world.store)]
    return Starlette(
        routes=routes,
        exception_handlers=unwritable,
        middleware=middleware,
        lifespan=lambda _: _living(world, mcp, doors, gateway),
    )


@asynccontextmanager
async def _living(
    world: World, mcp: MCPServer, doors: Doors | None, gateway: ModelProxy
) -> AsyncIterator[None]:
    """Run the gate, the ticker and the upkeep of gateway and repositories while the app serves."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="work"))
    async with mcp.session_manager.run(), asyncio.TaskGroup() as group:
        loops = {
            "gate": Gate(world).run,
            "tick": lambda: _ticking(world),
            "gateway": gateway.upkeep,
            "upkeep": lambda: caretaker.run(world),
        }
        background = [group.create_task(_run_again(name, run)) for name, run in loops.items()]
        try:
            yield
        finally:
            for task in background:
                task.cancel()
            if doors is not None:
                await doors.close_all()
            await gateway.close()
            await world.group.close()
            await asyncio.to_thread(world.audit.checkpoint, world.now_ms())


class AgentsOnly:
    """Around the tools: whoever claims and lands is an agent, so that every lease has a name that git knows
    too.
    """

    def __init__(self, inner: ASGIApp):
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["principal"].role != AGENT:
            answer = JSONResponse(
                {
                    "error": "forbidden",
                    "message": "the tools are for agents: `harness connect NAME` makes a token",
                },
                403,
            )
            return await answer(scope, receive, send)
        await self._inner(scope, receive, send)


async def reopen_doors(world: World, doors: Doors) -> None:
    """Open the doors of live sessions again, after a restart and once the server listens."""
    with world.store.read() as tx:
        live = [session.id for session in people.open_sessions(tx) if session.door]
    for session in live:
        await doors.open(session)


async def _run_again(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run a background loop. If it fails, log that and begin it again: its state is all in the database."""
    while True:
        try:
            await run()
        except Exception:
            log.exception("%s failed; it starts again in %s s", name, TICK_S)
            await asyncio.sleep(TICK_S)


async def _ticking(world: World) -> None:
    while True:
        await asyncio.to_thread(tick, world)
        await asyncio.sleep(TICK_S)


def tick(world: World) -> None:
    """Do what time alone brings about: end leases and budgets that ran out, take jobs from silent runners,
    sign the log, measure main, take up its fresh runs and check it again, open tasks for what
    is red on it, close tasks that are done.
    """
    if leasing.expire(world) | spending.enforce(world):
        world.bell.ring()
    oracle_jobs.reap(world)
    world.audit.checkpoint_if_due(world.now_ms())
    baseline.measure_main(world)
    fresh.look(world)
    tip_check.look(world)
    from_oracle.open_for_red(world)
    from_oracle.close_passing(world)


def _on_git(
    world: World, who: Principal, repo: str, service: str, updates: list[tuple[str, str, str]], status: str
) -> None:
    """Record a fetch or a push; an upload becomes what the agent's lease has to show."""
    kind = "git_push" if service == git_http.PUSH else "git_fetch"
    if kind == "git_push":
        faults.reached("upload.stored")
    with world.store.write() as tx:
        world = world.at_one_moment()
        world.record(tx, kind, who, repo=repo, status=status, updates=[list(update) for update in updates])
        if kind == "git_push" and status == "refused":
            world.record(
                tx,
                "refusal",
                who,
                tool="git push",
                code="protected_ref",
                happened=f"a push outside refs/agents/{who.name}/",
            )
        leasing.renew(world, tx, who)
        for ref, _old, new in updates if kind == "git_push" else ():
            sessions.uploaded(tx, who, repo, ref, new)
    if kind == "git_push":
        faults.reached("upload.told")
