"""The client of the server's HTTP: what breaks is ServerGone, what is refused is ServerSaidNo, and nothing
else.
"""

import socket
from collections.abc import Iterator

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from harness.client import ServerClient, ServerGone, ServerSaidNo

from .stub import Stub, serving


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving(Stub()) as started:
        yield started


@pytest.fixture
def client(stub: Stub) -> Iterator[ServerClient]:
    with ServerClient(stub.url, "secret") as made:
        yield made


def test_every_request_carries_the_token(stub: Stub, client: ServerClient) -> None:
    stub.answers["GET /api/status"] = lambda request, body: JSONResponse({"run": "toy"})
    assert client.status() == {"run": "toy"}
    assert stub.asked[0][2]["authorization"] == "Bearer secret"


def test_a_refusal_keeps_status_code_and_message(stub: Stub, client: ServerClient) -> None:
    stub.answers["GET /api/tasks/T9"] = lambda request, body: JSONResponse(
        {"error": "unknown_task", "message": "no T9"}, 404
    )
    with pytest.raises(ServerSaidNo) as no:
        client.task("T9")
    assert (no.value.status, no.value.code, no.value.message) == (404, "unknown_task", "no T9")


def test_a_refusal_in_another_shape_is_still_a_refusal(stub: Stub, client: ServerClient) -> None:
    stub.answers["GET /health"] = lambda request, body: PlainTextResponse("Misdirected", 421)
    with pytest.raises(ServerSaidNo, match="Misdirected"):
        client.health()


def test_a_fault_of_the_server_may_be_retried(stub: Stub, client: ServerClient) -> None:
    stub.answers["GET /api/status"] = lambda request, body: PlainTextResponse("oops", 500)
    with pytest.raises(ServerGone, match="500"):
        client.status()


def test_what_is_not_json_is_not_our_server(stub: Stub, client: ServerClient) -> None:
    stub.answers["GET /health"] = lambda request, body: PlainTextResponse("<html>")
    with pytest.raises(ServerGone, match="not JSON"):
        client.health()


def test_a_closed_port_is_a_server_that_is_gone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    with (
        ServerClient(f"http://127.0.0.1:{port}", "t") as client,
        pytest.raises(ServerGone, match="no answer from"),
    ):
        client.health()


def test_no_job_within_the_wait_is_none(stub: Stub, client: ServerClient) -> None:
    stub.answers["POST /api/jobs/claim"] = lambda request, body: Response(status_code=204)
    assert client.claim_job("runner-1", wait_s=0.1) is None


def test_a_job_is_renewed_and_finished_in_the_name_of_its_runner(stub: Stub, client: ServerClient) -> None:
    stub.answers |= {
        "POST /api/jobs/claim": lambda request, body: JSONResponse({"job": 7, "kind": "run"}),
        "POST /api/jobs/7/renew": lambda request, body: JSONResponse({}),
        "POST /api/jobs/7/result": lambda request, body: JSONResponse({}),
    }
    assert client.claim_job("runner-1") == {"job": 7, "kind": "run"}
    client.renew_job("runner-1", 7)
    client.finish_job("runner-1", 7, {"status": "passed"}, {"c": {"output": "1", "exit": 0}})
    bodies = [body for _, body, _ in stub.asked]
    assert bodies[1] == {"runner": "runner-1"}
    assert bodies[2] == {
        "runner": "runner-1",
        "verdict": {"status": "passed"},
        "reference": {"c": {"output": "1", "exit": 0}},
    }


def test_a_lost_job_is_a_refusal(stub: Stub, client: ServerClient) -> None:
    stub.answers["POST /api/jobs/7/renew"] = lambda request, body: JSONResponse(
        {"error": "job_lost", "message": "stop"}, 409
    )
    with pytest.raises(ServerSaidNo) as no:
        client.renew_job("runner-1", 7)
    assert no.value.status == 409


def test_trees_are_bytes(stub: Stub, client: ServerClient) -> None:
    stub.answers["GET /api/jobs/7/tree.tar"] = lambda request, body: Response(
        b"\x00tar", media_type="application/x-tar"
    )
    stub.answers["GET /api/jobs/7/reference.tar"] = lambda request, body: Response(
        b"\x00ref", media_type="application/x-tar"
    )
    assert (client.job_tree(7), client.job_reference_files(7)) == (b"\x00tar", b"\x00ref")


def test_only_given_filters_are_sent(stub: Stub, client: ServerClient) -> None:
    seen: list[str] = []

    def answer(request, body):
        seen.append(str(request.url.query))
        return JSONResponse({"events": []})

    stub.answers["GET /api/events"] = answer
    client.events(5, kind="landed")
    assert seen == ["after=5&limit=500&kind=landed"]
