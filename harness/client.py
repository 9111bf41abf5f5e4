"""Owns the way to the server: a client of its HTTP API (the server as a process is server_process.py).

Rule: the world's failure is `ServerGone` (may be retried), the server's refusal is `ServerSaidNo` (may not).
"""

from collections.abc import Mapping
from typing import Any, Protocol

import httpx2

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
TREE_TIMEOUT_S = 120.0  # a source tree may be hundreds of megabytes
AUDIT_TIMEOUT_S = 120.0  # the server hashes the whole log
WAIT_MARGIN_S = 15.0  # on top of a wait that the server was asked for
KEEPALIVE_S = 4.0  # below uvicorn's shortest default of 5 s, so no request meets a closing connection

Json = dict[str, Any]


class ServerGone(Exception):
    """The server did not answer, or not as itself; the same request may be tried again."""


class ServerSaidNo(Exception):
    """The server answered with an error; repeating the request unchanged will not help."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.status = status
        self.code = code
        self.message = message


class SessionServer(Protocol):
    """What sessions need of the server; ServerClient is it."""

    def create_session(self, agent: str, kind: str, *, door: bool = True) -> Json: ...
    def end_session(
        self,
        session: str,
        outcome: str,
        *,
        detail: str = "",
        exit: int | None = None,
        heard: Mapping[str, int] | None = None,
    ) -> Json: ...
    def session(self, session: str) -> Json: ...
    def status(self) -> Json: ...


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

    def health(self) -> Json:
        return self._json("GET", "/health")

    def status(self) -> Json:
        return self._json("GET", "/api/status")

    def events(
        self,
        after: int = 0,
        *,
        limit: int = 500,
        kind: str | None = None,
        agent: str | None = None,
        task: str | None = None,
        commit: str | None = None,
    ) -> list[Json]:
        """Events with a sequence number above `after`, oldest first, at most `limit`."""
        query = {"after": after, "limit": limit, "kind": kind, "agent": agent, "task": task, "commit": commit}
        return self._json("GET", "/api/events", params=_given(query))["events"]

    def spending(self) -> Json:
        """What models were asked and what it cost: in all, by agent, session, task and model, and per landed
        change.
        """
        return self._json("GET", "/api/spending")

    def commits(self, repo: str | None = None) -> list[Json]:
        """The first-parent history of the repository's main, oldest first."""
        return self._json("GET", "/api/commits", params=_given({"repo": repo}))["commits"]

    def audit_verify(self) -> Json:
        return self._json("GET", "/api/audit/verify", timeout_s=AUDIT_TIMEOUT_S)

    # -- sessions --------------------------------------------------------------------------------------------

    def create_session(self, agent: str, kind: str, *, door: bool = True) -> Json:
        return self._json("POST", "/api/sessions", body={"agent": agent, "kind": kind, "door": door})

    def end_session(
        self,
        session: str,
        outcome: str,
        *,
        detail: str = "",
        exit: int | None = None,
        heard: Mapping[str, int] | None = None,
    ) -> Json:
        body = {"outcome": outcome, "detail": detail, "exit": exit, "heard": dict(heard or {})}
        return self._json("POST", f"/api/sessions/{session}/end", body=body)

    def session(self, session: str) -> Json:
        return self._json("GET", f"/api/sessions/{session}")

    def tell_crew(self, agents: list[Json]) -> None:
        """What each agent of this harness does now; the server forgets those that are not named."""
        self._send("PUT", "/api/crew", body={"agents": agents})

    # -- oracle jobs, the runner's side ----------------------------------------------------------------------

    def claim_job(self, runner: str, wait_s: float = 20.0) -> Json | None:
        """The next job, or None when there was none within `wait_s`."""
        body = {"runner": runner, "wait_s": wait_s}
        answer = self._send("POST", "/api/jobs/claim", body=body, timeout_s=wait_s + WAIT_MARGIN_S)
        if answer.status_code == 204:
            return None
        job: Json = _parsed(answer)
        return job

    def renew_job(self, runner: str, job: int) -> None:
        """Keep the job for the runner that claimed it; raise ServerSaidNo(409) if the job was lost and must
        be stopped.
        """
        self._send("POST", f"/api/jobs/{job}/renew", body={"runner": runner})

    def job_tree(self, job: int) -> bytes:
        """The source tree of the job as a tar."""
        return self._send("GET", f"/api/jobs/{job}/tree.tar", timeout_s=TREE_TIMEOUT_S).content

    def job_reference_files(self, job: int) -> bytes:
        """The files of main that the job's reference and comparator read, as a tar."""
        return self._send("GET", f"/api/jobs/{job}/reference.tar", timeout_s=TREE_TIMEOUT_S).content

    def finish_job(self, runner: str, job: int, verdict: Json, reference: Json) -> None:
        """Hand in what the runner found; raise ServerSaidNo(409) if the job is not that runner's any more."""
        body = {"runner": runner, "verdict": verdict, "reference": reference}
        self._send("POST", f"/api/jobs/{job}/result", body=body, timeout_s=TREE_TIMEOUT_S)

    # -- oracle jobs, the asking side ------------------------------------------------------------------------

    def run_oracle(
        self, suite: str | None = None, commit: str | None = None, *, fresh: bool = False
    ) -> dict[str, int]:
        """Starts a run of the suite, or of every suite, on the commit, or on main: suite -> job."""
        body = {"suite": suite, "commit": commit, "fresh": fresh}
        return self._json("POST", "/api/oracle/run", body=body)["jobs"]

    def check_oracle(self) -> list[Json]:
        """Starts the planted-wrong-engine check of every suite: [{"suite", "job"}]."""
        return self._json("POST", "/api/oracle/check", body={})

    def job(self, job: int, wait_s: float = 0.0) -> Json:
        """How the job stands: at once, or, up to `wait_s` later, as soon as it has a verdict."""
        return self._json(
            "GET", f"/api/jobs/{job}", params={"wait_s": wait_s}, timeout_s=READ_TIMEOUT_S + wait_s
        )

    # -- tasks and tokens ------------------------------------------------------------------------------------

    def tasks(self) -> list[Json]:
        answer = self._json("GET", "/api/tasks")
        return answer["tasks"] if isinstance(answer, dict) else answer

    def task(self, task: str) -> Json:
        return self._json("GET", f"/api/tasks/{task}")

    def add_task(self, title: str, module: str, brief: str, **more: Any) -> Json:
        """`more` may hold paths, needs, cases, suite."""
        return self._json(
            "POST", "/api/tasks", body={"title": title, "module": module, "brief": brief, **_given(more)}
        )

    def tasks_from_oracle(
        self, suite: str | None, module: str | None, *, limit: int | None, dry_run: bool
    ) -> Json:
        """{"made", "closed", "kept", "no_module", "left_out"}, or {"running": {suite: job}} where main is not
        measured yet.
        """
        body = {"suite": suite, "module": module, "limit": limit, "dry_run": dry_run}
        return self._json("POST", "/api/tasks/from-oracle", body=body)

    def reopen_task(self, task: str, reason: str) -> Json:
        return self._json("POST", f"/api/tasks/{task}/reopen", body={"reason": reason})

    def tokens(self) -> list[Json]:
        answer = self._json("GET", "/api/tokens")
        return answer["tokens"] if isinstance(answer, dict) else answer

    def issue_token(self, agent: str) -> Json:
        return self._json("POST", "/api/tokens", body={"agent": agent})

    def revoke_token(self, token: int, *, keeps_lease: bool = False) -> Json:
        """{"agent", "ended", "pinned"}: the tasks whose leases ended with it, and those that end once the
        gate has refused them.
        """
        return self._json("DELETE", f"/api/tokens/{token}", params={"lease": "keep"} if keeps_lease else None)

    # -- the wire --------------------------------------------------------------------------------------------

    def _json(self, method: str, path: str, **options: Any) -> Any:
        return _parsed(self._send(method, path, **options))

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Mapping[str, Any] | None = None,
        timeout_s: float = READ_TIMEOUT_S,
    ) -> httpx2.Response:
        timeout = httpx2.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S)
        try:
            answer = self._http.request(method, path, json=body, params=params, timeout=timeout)
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            raise ServerGone(f"no answer from {self.url}{path}: {error or type(error).__name__}") from error
        if answer.status_code >= 500:
            raise ServerGone(f"{self.url}{path} answered {answer.status_code}: {_message(answer)[1]}")
        if answer.status_code >= 300:
            raise ServerSaidNo(answer.status_code, *_message(answer))
        return answer


def _given(values: Mapping[str, Any]) -> Json:
    return {name: value for name, value in values.items() if value is not None}


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
    """The error's code and message; also of an answer that is not in our shape."""
    try:
        said = answer.json()
    except ValueError:
        said = None
    if isinstance(said, dict) and "error" in said:
        return str(said["error"]), str(said.get("message", said["error"]))
    return f"http_{answer.status_code}", answer.text[:200] or answer.reason_phrase
