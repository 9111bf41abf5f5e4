"""The client of the server's HTTP: what breaks is ServerGone, what is refused is ServerSaidNo, and nothing
else.
"""

import socket
from collections.abc import Iterator

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from harness.client import ServerClient, ServerGone, ServerSaidNo, UnreadableOrder
from mcp_server.wire.jobs import JobOrder, JobResult
from mcp_server.wire.status import Health
from oracle.cases.spec import Case, Suite
from oracle.judging.answer import Answer
from oracle.judging.verdict import CaseCounts, Verdict

from .stub import Stub, serving

SUITE = Suite("sql", "differential", "engine", cases=("c/*.txt",), candidate="cat", reference="cat")
JOB_ORDER = JobOrder(
    job=7,
    kind="run",
    suite=SUITE,
    repo="engine",
    commit="0" * 40,
    tree_key="tree",
    cases=(Case("one", "1\n", "c/one.txt", 1),),
    deadline_s=60.0,
)


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving(Stub()) as started:
        yield started


@pytest.fixture
def client(stub: Stub) -> Iterator[ServerClient]:
    with ServerClient(stub.url, "secret") as made:
        yield made


def test_every_request_carries_the_token(stub: Stub, client: ServerClient) -> None:
    stub.answers["GET /health"] = lambda request, body: JSONResponse({"ok": True, "run": "toy"})
    assert client.health() == Health(ok=True, run="toy")
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
        "POST /api/jobs/claim": lambda request, body: JSONResponse(JOB_ORDER.render()),
        "POST /api/jobs/7/renew": lambda request, body: JSONResponse({}),
        "POST /api/jobs/7/result": lambda request, body: JSONResponse({}),
    }
    assert client.claim_job("runner-1") == JOB_ORDER
    client.renew_job("runner-1", 7)
    verdict = Verdict("passed", "", CaseCounts(cases=1, passed=1), {"c": "pass"})
    client.finish_job(7, JobResult(runner="runner-1", verdict=verdict, reference={"c": Answer("1", 0)}))
    bodies = [body for _, body, _ in stub.asked]
    assert bodies[1] == {"runner": "runner-1"}
    assert bodies[2] == {
        "runner": "runner-1",
        "verdict": verdict.to_json(),
        "reference": {"c": {"output": "1", "exit": 0}},
    }


def test_an_order_that_this_harness_does_not_understand_names_its_job_and_the_field(
    stub: Stub, client: ServerClient
) -> None:
    newer = JOB_ORDER.render()
    newer["suite"]["telepathy"] = True
    stub.answers["POST /api/jobs/claim"] = lambda request, body: JSONResponse(newer)
    with pytest.raises(UnreadableOrder, match="suite: unknown suite field 'telepathy'") as wrong:
        client.claim_job("runner-1")
    assert wrong.value.job == 7


def test_an_answer_without_a_field_is_not_our_servers(stub: Stub, client: ServerClient) -> None:
    stub.answers["POST /api/sessions"] = lambda request, body: JSONResponse({"session": "S1", "door": None})
    with pytest.raises(ServerGone, match="this is no SessionGrant: token: field required"):
        client.create_session("ada", "command")


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
