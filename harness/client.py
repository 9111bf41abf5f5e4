"""Owns the way to the server: a client of its HTTP API (the server as a process is server_process.py).

Rule: the world's failure is `ServerGone` (may be retried), the server's refusal is `ServerSaidNo` (may not).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import httpx2

from mcp_server.wire.base import UnreadableWire, WireAnswer, WireRequest
from mcp_server.wire.environments import EnvironmentOrder
from mcp_server.wire.events import AuditCheck, EventPage, LoggedEvent, MainCommit, MainHistory
from mcp_server.wire.jobs import (
    JobClaim,
    JobOrder,
    JobRenewal,
    JobResult,
    JobState,
    OracleCheckJob,
    OracleRunJobs,
    OracleRunRequest,
    RunnerSuites,
)
from mcp_server.wire.reports import SpendingReport
from mcp_server.wire.sessions import (
    AgentState,
    CrewReport,
    IssuedToken,
    RevokedToken,
    SessionEnded,
    SessionEndRequest,
    SessionGrant,
    SessionRequest,
    SessionState,
    TokenFacts,
    TokenList,
    TokenRequest,
)
from mcp_server.wire.status import Health, RunStatus
from mcp_server.wire.tasks import (
    TaskDetail,
    TaskList,
    TaskProposal,
    TaskReopening,
    TasksFromOracle,
    TasksFromOracleRequest,
    TaskSummary,
)

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
TREE_TIMEOUT_S = 120.0  # a source tree may be hundreds of megabytes
AUDIT_TIMEOUT_S = 120.0  # the server hashes the whole log
WAIT_MARGIN_S = 15.0  # on top of a wait that the server was asked for
KEEPALIVE_S = 4.0  # below uvicorn's shortest default of 5 s, so no request meets a closing connection

A = TypeVar("A", bound=WireAnswer)


class ServerGone(Exception):
    """The server did not answer, or not as itself; the same request may be tried again."""


class ServerSaidNo(Exception):
    """The server answered with an error; repeating the request unchanged will not help."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.status = status
        self.code = code
        self.message = message


class UnreadableOrder(Exception):
    """A job was claimed whose order this harness does not understand, as one of a newer server may be."""

    def __init__(self, job: int, reason: str) -> None:
        super().__init__(reason)
        self.job = job


class SessionServer(Protocol):
    """What sessions need of the server; ServerClient is it."""

    def create_session(self, agent: str, kind: str, *, door: bool = True) -> SessionGrant: ...
    def end_session(
        self,
        session: str,
        outcome: str,
        *,
        detail: str = "",
        exit: int | None = None,
        counts: Mapping[str, int] | None = None,
    ) -> SessionEnded: ...
    def session(self, session: str) -> SessionState: ...
    def status(self) -> RunStatus: ...


class ServerClient:
    """The server's HTTP API as methods; safe to share between threads; connections are kept alive."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self.token = token
        timeout = httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        # Room for every supervisor and runner thread to wait at once; trust_env off: no proxy may see the
        # token.
        limits = httpx2.Limits(
            max_connections=256, max_keepalive_connections=64, keepalive_expiry=KEEPALIVE_S
        )
        self._http = httpx2.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout,
            limits=limits,
            trust_env=False,
        )

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> "ServerClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the run ---------------------------------------------------------------------------------------------

    def health(self) -> Health:
        """Return what a server says of itself to anybody."""
        return self._ask(Health, "GET", "/health")

    def status(self) -> RunStatus:
        """Return the run at a glance."""
        return self._ask(RunStatus, "GET", "/api/status")

    def events(
        self,
        after: int = 0,
        *,
        limit: int = 500,
        kind: str | None = None,
        agent: str | None = None,
        task: str | None = None,
        commit: str | None = None,
    ) -> Sequence[LoggedEvent]:
        """Return the events with a number above `after`, oldest first, at most `limit`."""
        query = {"after": after, "limit": limit, "kind": kind, "agent": agent, "task": task, "commit": commit}
        return self._ask(EventPage, "GET", "/api/events", params=_given(query)).events

    def spending(self) -> SpendingReport:
        """Return what models have cost."""
        return self._ask(SpendingReport, "GET", "/api/spending")

    def commits(self, repo: str | None = None) -> Sequence[MainCommit]:
        """Return the first-parent history of the repository's main, oldest first."""
        return self._ask(MainHistory, "GET", "/api/commits", params=_given({"repo": repo})).commits

    def audit_verify(self) -> AuditCheck:
        """Return whether the log is whole; the server hashes all of it for that."""
        return self._ask(AuditCheck, "GET", "/api/audit/verify", timeout_s=AUDIT_TIMEOUT_S)

    # -- sessions --------------------------------------------------------------------------------------------

    def create_session(self, agent: str, kind: str, *, door: bool = True) -> SessionGrant:
        """Begin a session of an agent; return its id and its token."""
        wish = SessionRequest(agent=agent, kind=kind, door=door)
        return self._ask(SessionGrant, "POST", "/api/sessions", wish)

    def end_session(
        self,
        session: str,
        outcome: str,
        *,
        detail: str = "",
        exit: int | None = None,
        counts: Mapping[str, int] | None = None,
    ) -> SessionEnded:
        """End a session; `counts` is how many events of each kind its output had."""
        ending = SessionEndRequest(outcome=str(outcome), detail=detail, exit=exit, heard=dict(counts or {}))
        return self._ask(SessionEnded, "POST", f"/api/sessions/{session}/end", ending)

    def session(self, session: str) -> SessionState:
        """Return how a session stands."""
        return self._ask(SessionState, "GET", f"/api/sessions/{session}")

    def report_crew(self, agents: Sequence[AgentState]) -> None:
        """Say what each agent of this harness does now; the server forgets agents that are not named."""
        self._send("PUT", "/api/crew", CrewReport(agents=tuple(agents)))

    # -- oracle jobs, the runner's side ----------------------------------------------------------------------

    def runner_suites(self) -> RunnerSuites:
        """Return every suite that a runner may get jobs of, and what their environments are known by."""
        return self._ask(RunnerSuites, "GET", "/api/oracle/suites")

    def claim_job(
        self, runner: str, wait_s: float = 20.0, images: Mapping[str, str] | None = None
    ) -> JobOrder | None:
        """Return the next job, or None if there is none within `wait_s`; raise UnreadableOrder for one that
        this harness does not understand. `images`: by suite, the ids of those that the runner has.
        """
        claim = JobClaim(runner=runner, wait_s=wait_s, images=images or {})
        answer = self._send("POST", "/api/jobs/claim", claim, timeout_s=wait_s + WAIT_MARGIN_S)
        if answer.status_code == 204:
            return None
        try:
            return JobOrder.parse(answer.content)
        except UnreadableWire as wrong:
            raise _unreadable_order(answer, wrong) from wrong

    def renew_job(self, runner: str, job: int) -> None:
        """Keep the job for the runner that claimed it. Raise ServerSaidNo(409) if the job was lost: it has to
        be stopped then.
        """
        self._send("POST", f"/api/jobs/{job}/renew", JobRenewal(runner=runner))

    def job_tree(self, job: int) -> bytes:
        """Return the source tree of the job as a tar."""
        return self._send("GET", f"/api/jobs/{job}/tree.tar", timeout_s=TREE_TIMEOUT_S).content

    def job_reference_files(self, job: int) -> bytes:
        """Return the files of main that the job's reference and comparator read, as a tar."""
        return self._send("GET", f"/api/jobs/{job}/reference.tar", timeout_s=TREE_TIMEOUT_S).content

    def environment(self, name: str) -> EnvironmentOrder:
        """Return all that the image of an environment is made of, as main is now."""
        return self._ask(EnvironmentOrder, "GET", f"/api/environments/{name}", timeout_s=TREE_TIMEOUT_S)

    def finish_job(self, job: int, result: JobResult) -> None:
        """Hand in what a runner found; raise ServerSaidNo(409) if the job is not that runner's any more."""
        self._send("POST", f"/api/jobs/{job}/result", result, timeout_s=TREE_TIMEOUT_S)

    # -- oracle jobs, the asking side ------------------------------------------------------------------------

    def run_oracle(
        self, suite: str | None = None, commit: str | None = None, *, fresh: bool = False
    ) -> Mapping[str, int]:
        """Start a run of the suite, or of every suite, on the commit, or on main; return each suite's job."""
        wish = OracleRunRequest(suite=suite, commit=commit, fresh=fresh)
        return self._ask(OracleRunJobs, "POST", "/api/oracle/run", wish).jobs

    def check_oracle(self) -> list[OracleCheckJob]:
        """Start the check of every suite with planted wrong engines."""
        answer = self._send("POST", "/api/oracle/check")
        return [_read(OracleCheckJob, answer, json.dumps(check)) for check in _parsed(answer)]

    def job(self, job: int, wait_s: float = 0.0) -> JobState:
        """Return how the job stands: at once, or, up to `wait_s` later, as soon as it has a verdict."""
        return self._ask(
            JobState,
            "GET",
            f"/api/jobs/{job}",
            params={"wait_s": wait_s},
            timeout_s=READ_TIMEOUT_S + wait_s,
        )

    # -- tasks and tokens ------------------------------------------------------------------------------------

    def tasks(self) -> Sequence[TaskSummary]:
        """Return every task, open ones first."""
        return self._ask(TaskList, "GET", "/api/tasks").tasks

    def task(self, task: str) -> TaskDetail:
        """Return one task with its brief and its report."""
        return self._ask(TaskDetail, "GET", f"/api/tasks/{task}")

    def add_task(self, proposal: TaskProposal) -> TaskDetail:
        """Create a task, or return the one that has its title and module already."""
        return self._ask(TaskDetail, "POST", "/api/tasks", proposal)

    def tasks_from_oracle(
        self, suite: str | None, module: str | None, *, limit: int | None, dry_run: bool
    ) -> TasksFromOracle:
        """Create a task for each cause of what fails on main; only `running` is set if main is not measured
        yet.
        """
        wish = TasksFromOracleRequest(suite=suite, module=module, limit=limit, dry_run=dry_run)
        return self._ask(TasksFromOracle, "POST", "/api/tasks/from-oracle", wish)

    def reopen_task(self, task: str, reason: str) -> TaskDetail:
        """Make a done or blocked task open again."""
        return self._ask(TaskDetail, "POST", f"/api/tasks/{task}/reopen", TaskReopening(reason=reason))

    def tokens(self) -> Sequence[TokenFacts]:
        """Return every token that was ever issued."""
        return self._ask(TokenList, "GET", "/api/tokens").tokens

    def issue_token(self, agent: str) -> IssuedToken:
        """Issue a token to a client that no harness keeps."""
        return self._ask(IssuedToken, "POST", "/api/tokens", TokenRequest(agent=agent))

    def revoke_token(self, token: int, *, keeps_lease: bool = False) -> RevokedToken:
        """Revoke a token; its holder's lease ends with it unless `keeps_lease`."""
        params = {"lease": "keep"} if keeps_lease else None
        return self._ask(RevokedToken, "DELETE", f"/api/tokens/{token}", params=params)

    # -- the wire --------------------------------------------------------------------------------------------

    def _ask(
        self,
        kind: type[A],
        method: str,
        path: str,
        request: WireRequest | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        timeout_s: float = READ_TIMEOUT_S,
    ) -> A:
        answer = self._send(method, path, request, params=params, timeout_s=timeout_s)
        return _read(kind, answer, answer.content)

    def _send(
        self,
        method: str,
        path: str,
        request: WireRequest | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        timeout_s: float = READ_TIMEOUT_S,
    ) -> httpx2.Response:
        timeout = httpx2.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S)
        body = request.render() if request is not None else None
        try:
            answer = self._http.request(method, path, json=body, params=params, timeout=timeout)
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            raise ServerGone(f"no answer from {self.url}{path}: {error or type(error).__name__}") from error
        if answer.status_code >= 500:
            raise ServerGone(f"{self.url}{path} answered {answer.status_code}: {_message(answer)[1]}")
        if answer.status_code >= 300:
            raise ServerSaidNo(answer.status_code, *_message(answer))
        return answer


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _read(kind: type[A], answer: httpx2.Response, text: str | bytes) -> A:
    try:
        return kind.parse(text)
    except UnreadableWire as wrong:
        _parsed(answer)  # what is not even JSON has an error of its own
        raise ServerGone(f"{answer.url} answered what this harness cannot read: {wrong}") from wrong


def _unreadable_order(answer: httpx2.Response, wrong: UnreadableWire) -> "UnreadableOrder | ServerGone":
    """Return the error that lets a runner answer the job, if its number at least can be read."""
    order = _parsed(answer)
    job = order.get("job") if isinstance(order, dict) else None
    if isinstance(job, int):
        return UnreadableOrder(job, str(wrong))
    return ServerGone(f"{answer.url} answered what this harness cannot read: {wrong}")


def _parsed(answer: httpx2.Response) -> Any:
    if not answer.content:
        return {}
    try:
        return answer.json()
    except ValueError as error:
        raise ServerGone(
            f"{answer.url} answered with something that is not JSON; is it a harness server?"
        ) from error


def _message(answer: httpx2.Response) -> tuple[str, str]:
    """Return the error's code and message, also of an answer that is not in our shape."""
    try:
        error = answer.json()
    except ValueError:
        error = None
    if isinstance(error, dict) and "error" in error:
        return str(error["error"]), str(error.get("message", error["error"]))
    return f"http_{answer.status_code}", answer.text[:200] or answer.reason_phrase
