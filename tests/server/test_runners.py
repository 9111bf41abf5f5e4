"""Several runners on one server: each job ends in one verdict, whoever claims at the same time and whoever
falls silent.
"""

import threading
from collections import Counter
from pathlib import Path

from harness.client import ServerClient
from mcp_server.use_cases.oracle.jobs import BROKEN_TRIES
from mcp_server.wire.jobs import JobResult
from oracle.judging import verdict
from tests.waiting import until

from . import wide
from .conftest import Server

RUNNERS, JOBS = 3, 18


class Runner(threading.Thread):
    """Claims and answers until there is nothing left; `dies_at` is the number of the job that it claims and
    never answers.
    """

    def __init__(
        self,
        server: Server,
        name: str,
        together: threading.Barrier,
        done: threading.Event,
        *,
        dies_at: int | None = None,
    ):
        super().__init__(daemon=True)
        self.runner, self.taken, self.refused, self.left = name, [], [], None
        self._server, self._together, self._done, self._dies_at = server, together, done, dies_at

    def run(self) -> None:
        claimed = 0
        with self._server.http("runner") as http:
            self._together.wait()
            while not self._done.is_set():
                answer = http.post("/api/jobs/claim", json={"runner": self.runner, "wait_s": 0.2})
                if answer.status_code == 204:
                    continue
                job, claimed = answer.json(), claimed + 1
                if claimed == self._dies_at:
                    self.left = job["job"]
                    return
                verdict = {"status": "passed", "outcomes": {case["id"]: "pass" for case in job["cases"]}}
                told = http.post(
                    f"/api/jobs/{job['job']}/result", json={"runner": self.runner, "verdict": verdict}
                )
                (self.taken if told.status_code == 200 else self.refused).append(job["job"])


def test_no_job_is_lost_and_none_is_answered_twice_though_a_runner_dies(tmp_path: Path):
    with wide.serving(tmp_path) as server:
        with server.http() as http:
            asked = [
                http.post("/api/oracle/run", json={"fresh": True}).json()["jobs"]["words"]
                for _ in range(JOBS)
            ]
        together, done = threading.Barrier(RUNNERS), threading.Event()
        runners = [
            Runner(server, f"r{number}", together, done, dies_at=3 if number == 0 else None)
            for number in range(RUNNERS)
        ]
        [runner.start() for runner in runners]
        try:
            until(lambda: runners[0].left is not None)
            others = set(asked) - {runners[0].left}
            until(lambda: all(state(server, job) == "done" for job in others))
            assert state(server, runners[0].left) == "running", "its runner may only be slow"
            server.steady.ahead_ms += 31_000
            until(lambda: state(server, runners[0].left) == "done")
        finally:
            done.set()
            [runner.join(10) for runner in runners]
        counts = Counter(job for runner in runners for job in runner.taken)
        assert set(counts) >= set(asked) and set(counts.values()) == {1}
        assert runners[0].left in runners[1].taken + runners[2].taken
        ends = Counter(
            event["data"]["job"]
            for event in server.events(kind="job_done")
            if not event["data"].get("retried")
        )
        assert set(ends.values()) == {1} and set(asked) <= set(ends)
        with server.http("runner") as http:
            late = {"runner": "r0", "verdict": {"status": "failed", "outcomes": {}}}
            assert http.post(f"/api/jobs/{runners[0].left}/result", json=late).status_code == 409
            assert http.get(f"/api/jobs/{runners[0].left}").json()["verdict"]["status"] == "passed"


def state(server: Server, job: int | None) -> str:
    with server.http() as http:
        return http.get(f"/api/jobs/{job}").json()["state"]


def test_a_broken_verdict_that_another_runner_tries_again_has_its_reason_at_once(tmp_path: Path):
    """Both runners share a client, as those of one harness do; no clock moves, so nobody can seem silent."""
    with wide.serving(tmp_path) as server, ServerClient(server.url, server.token("runner")) as client:
        jobs = []
        for number in range(BROKEN_TRIES):
            runner = f"r{number % 2}"
            job_order = client.claim_job(runner, wait_s=1.0)
            assert job_order is not None
            jobs.append(job_order.job)
            result = JobResult(runner=runner, verdict=verdict.broken("the image is gone"))
            client.finish_job(job_order.job, result)
        assert len(set(jobs)) == 1
        concluded = client.job(jobs[0]).verdict
        assert concluded is not None
        assert (concluded.status, concluded.reason) == ("broken", "the image is gone")
        reasons = [event["data"]["reason"] for event in server.events(kind="job_done")]
        assert reasons == ["the image is gone"] * BROKEN_TRIES
