"""Who may call what: tokens, roles, doors, hosts. Nobody gets in by anything but the verified token."""

import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from starlette.routing import Route

from mcp_server.edge import app
from tests.waiting import BOUND_S

from . import toy
from .conftest import NO_TLS, Agent, Server
from .wide import refused

MCP = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "claim_task", "arguments": {}}}
ACCEPT = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}
EVERYWHERE = [
    ("POST", "/mcp"),
    ("GET", "/mcp"),
    ("GET", "/git/toy.git/info/refs?service=git-upload-pack"),
    ("GET", "/api/status"),
    ("POST", "/api/jobs/claim"),
    ("GET", "/nothing"),
]
FOR_ADMINS = [
    ("GET", "/api/events"), ("GET", "/api/commits"), ("GET", "/api/audit/verify"), ("GET", "/api/tokens"), ("POST", "/api/tokens"),
    ("DELETE", "/api/tokens/1"), ("POST", "/api/tasks"), ("POST", "/api/tasks/T01/reopen"), ("POST", "/api/oracle/run"),
    ("POST", "/api/tasks/from-oracle"),
]  # fmt: skip
FOR_RUNNERS_TOO = [
    ("POST", "/api/sessions"), ("GET", "/api/sessions/S1"), ("POST", "/api/sessions/S1/end"), ("POST", "/api/jobs/claim"), ("GET", "/api/jobs/1"),
    ("POST", "/api/jobs/1/renew"), ("GET", "/api/jobs/1/tree.tar"), ("GET", "/api/jobs/1/reference.tar"), ("POST", "/api/jobs/1/result"), ("GET", "/api/status"), ("GET", "/api/tasks"),
    ("GET", "/api/tasks/T01"), ("POST", "/api/oracle/check"), ("GET", "/api/oracle/suites"), ("GET", "/api/spending"), ("PUT", "/api/crew"), ("GET", "/api/environments/toy"),
]  # fmt: skip
FOR_HARNESS = FOR_ADMINS + FOR_RUNNERS_TOO


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("auth")
    made = Server(toy.project(root / "project"), root / "s", 1.5)
    yield made
    made.stop()


@contextmanager
def bearer(
    server: Server, token: str | None, *, door: Path | None = None, **headers: str
) -> Iterator[httpx2.Client]:
    said = {"Authorization": f"Bearer {token}"} if token is not None else {}
    transport = httpx2.HTTPTransport(uds=str(door), verify=NO_TLS) if door else None
    base = "http://127.0.0.1:8765" if door else server.url
    with httpx2.Client(
        base_url=base, headers=said | headers, transport=transport, timeout=BOUND_S, verify=NO_TLS
    ) as http:
        yield http


def with_door(server: Server, name: str) -> tuple[Agent, Path]:
    with server.http("runner") as http:
        made = http.post("/api/sessions", json={"agent": name, "kind": "command", "door": True}).json()
    return Agent(server, name, made["token"], made["session"]), server.state / "doors" / made[
        "door"
    ] / "door.sock"


@pytest.mark.parametrize("token", [None, "nonsense", "hs_" + "a" * 43])
@pytest.mark.parametrize(("method", "path"), EVERYWHERE)
def test_nothing_but_health_is_served_without_a_valid_token(
    server: Server, method: str, path: str, token: str | None
):
    with bearer(server, token) as http:
        answer = http.request(method, path)
        assert (answer.status_code, answer.json()["error"], answer.headers["www-authenticate"]) == (
            401,
            "unauthorized",
            "Bearer",
        )
        assert http.get("/health").json() == {"ok": True, "run": "toy"}


@pytest.mark.parametrize("header", ["Basic {}", "{}", "Token {}", "bearer{}"])
def test_a_token_counts_only_as_a_bearer(server: Server, header: str):
    with bearer(server, None, Authorization=header.format(server.token("admin"))) as http:
        assert http.get("/api/status").status_code == 401
    with bearer(server, None, Authorization=f"BEARER {server.token('admin')}") as http:
        assert http.get("/api/status").status_code == 200


def test_every_route_of_the_harness_has_its_expectation_here(server: Server):
    assert server.world is not None
    expected = {
        (method, re.sub(r"/(1|S1|T01)(?=/|$)", "/{id}", path).replace("/toy", "/{name}"))
        for method, path in FOR_HARNESS
    }
    routes = {
        (method, route.path)
        for route in app.build(server.world).routes
        if isinstance(route, Route) and route.path.startswith("/api/")
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert routes == expected


@pytest.mark.parametrize(("method", "path"), FOR_HARNESS)
def test_an_agent_may_call_no_route_of_the_harness(server: Server, method: str, path: str):
    with bearer(server, server.agent("agent").token) as http:
        assert http.request(method, path, json={}).status_code == 403


@pytest.mark.parametrize(("method", "path"), FOR_ADMINS)
def test_a_runner_may_not_do_what_is_for_the_operator(server: Server, method: str, path: str):
    with bearer(server, server.token("runner")) as http:
        assert http.request(method, path, json={}).status_code == 403


@pytest.mark.parametrize(("method", "path"), FOR_RUNNERS_TOO)
def test_a_runner_may_do_what_is_its_own(server: Server, method: str, path: str):
    with bearer(server, server.token("runner")) as http:
        assert http.request(method, path, json={}).status_code not in (401, 403)


@pytest.mark.parametrize("role", ["admin", "runner"])
def test_only_agents_have_tools(server: Server, role: str):
    with bearer(server, server.token(role)) as http:
        assert http.post("/mcp", json=MCP, headers=ACCEPT).status_code == 403


def test_a_revoked_token_and_one_of_an_ended_session_are_nobody(server: Server):
    connected, one = server.agent("connected", session=False), server.agent("ender")
    with server.http() as http:
        for agent in (connected, one):
            assert agent.call("list_tasks")["is_error"] is False
        id = next(
            token["id"] for token in http.get("/api/tokens").json()["tokens"] if token["name"] == "connected"
        )
        assert http.delete(f"/api/tokens/{id}").status_code == 200
        assert http.delete(f"/api/tokens/{id}").status_code == 404
        http.post(f"/api/sessions/{one.session}/end", json={"outcome": "idle"})
    for agent in (connected, one):
        with bearer(server, agent.token) as http:
            assert http.post("/mcp", json=MCP, headers=ACCEPT).status_code == 401
            assert http.get("/git/toy.git/info/refs?service=git-upload-pack").status_code == 401
    [event] = server.events(kind="token_revoked")
    assert event["data"]["revoked"] == id


def test_a_door_lets_in_the_token_of_its_own_session_alone(server: Server):
    (one, door), (other, _) = with_door(server, "doored"), with_door(server, "neighbour")
    for token, status in (
        (one.token, 200),
        (other.token, 401),
        (server.agent("abroad", session=False).token, 401),
        (server.token("admin"), 401),
        (None, 401),
    ):
        with bearer(server, token, door=door) as http:
            assert http.post("/mcp", json=MCP, headers=ACCEPT).status_code == status
    with server.http() as http:
        http.post(f"/api/sessions/{one.session}/end", json={"outcome": "worked"})
    assert not door.exists()


def test_the_doors_of_live_sessions_stand_open_again_after_a_restart(tmp_path: Path):
    server = Server(toy.project(tmp_path / "project"), tmp_path / "s", 1.5)
    try:
        (live, door), (ended, shut) = with_door(server, "live"), with_door(server, "ended")
        with server.http() as http:
            http.post(f"/api/sessions/{ended.session}/end", json={"outcome": "worked"})
        server.stop()
        assert not door.exists()
        server.start()
        with bearer(server, live.token, door=door) as http:
            assert http.post("/mcp", json=MCP, headers=ACCEPT).status_code == 200
        assert not shut.exists()
    finally:
        server.stop()


def test_the_stream_that_no_client_needs_is_not_offered(server: Server):
    with bearer(server, server.agent("streamer").token) as http:
        answer = http.get("/mcp", headers={"Accept": "text/event-stream"})
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:80"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({}, 200),
    ],
)
def test_a_foreign_host_or_origin_gets_no_tool(server: Server, headers: dict, status: int):
    with bearer(server, server.agent("browser").token) as http:
        assert http.post("/mcp", json=MCP, headers=ACCEPT | headers).status_code == status


def test_an_oversized_request_is_refused_unread(server: Server):
    with bearer(server, server.agent("giant").token) as http:
        assert (
            http.post(
                "/mcp", content=b" " * (2 << 20), headers=ACCEPT | {"Content-Type": "application/json"}
            ).status_code
            == 413
        )


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a b",
        "../x",
        "a/b",
        ".hidden",
        "x" * 61,
        "a..b",
        "a.lock",
        "end.",
        "admin",
        "runner",
        "\N{SNOWMAN}",
        "a\nb",
    ],
)
def test_a_name_that_could_be_no_part_of_a_ref_or_is_a_role_s_is_no_agent(server: Server, name: str):
    with server.http() as http:
        assert http.post("/api/tokens", json={"agent": name}).status_code == 400
        assert (
            http.post("/api/sessions", json={"agent": name, "kind": "command", "door": False}).status_code
            == 400
        )


@pytest.mark.parametrize("name", ["a", "claude-1", "a.b", "x" * 60, "A_b-9"])
def test_honest_names_upload_and_claim(server: Server, name: str, tmp_path: Path):
    one = server.agent(name, session=False)
    one.commit(one.clone(tmp_path / "one"), {"shout/x": name})
    assert one.call("list_tasks")["is_error"] is False


def test_tokens_are_stored_as_hashes_and_their_files_are_private(server: Server):
    one = server.agent("secretive")
    for path in server.state.glob("state.db*"):
        content = path.read_bytes()
        for token in (one.token, server.token("admin"), server.token("runner")):
            assert token.encode() not in content
    for role in ("admin", "runner"):
        assert stat.S_IMODE((server.state / "tokens" / role).stat().st_mode) == 0o600
    assert stat.S_IMODE((server.state / "tokens").stat().st_mode) == 0o700
    assert stat.S_IMODE((server.state / "audit" / "key.pem").stat().st_mode) == 0o400
    with server.http() as http:
        assert "sha256" not in http.get("/api/tokens").text


def test_a_name_in_the_request_makes_nobody_somebody_else(server: Server):
    one = server.agent("honest")
    with bearer(
        server, one.token, **{"X-Agent": "admin", "X-Forwarded-User": "admin", "X-Session": "S1"}
    ) as http:
        http.post(
            "/mcp",
            json=MCP | {"params": {"name": "list_tasks", "arguments": {}, "_meta": {"agent": "admin"}}},
            headers=ACCEPT,
        )
    assert [event["agent"] for event in server.events(kind="tool_call", agent="honest")] == ["honest"]
    refused(one.call("release_task", fence=1, outcome="abandoned", session="S1"), "bad_request")
