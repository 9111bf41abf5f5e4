"""Owns the oracle of the simulation: so many runners at the real runner API, each with one job at a time.

Rule: what a run says is the truth about the tree that it was given, after the time that was dealt for it.
"""

import io
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.landing_changes import is_red
from benchmarks.landing_tally import Tally
from harness.client import ServerClient, ServerGone, ServerSaidNo
from mcp_server.wire.jobs import JobOrder, JobResult
from oracle.judging.verdict import CaseCounts, Verdict

CLAIM_WAIT_S = 2.0


class Runners:
    """They answer at once until `paced`: main is measured first."""

    def __init__(self, url: str, token: str, tally: Tally):
        self._client, self._tally = ServerClient(url, token), tally
        self._takes_s: Callable[[], float] = lambda: 0.0
        self._stopping, self._lock = threading.Event(), threading.Lock()
        self.broke: Exception | None = None

    def paced(self, takes_s: Callable[[], float]) -> None:
        self._takes_s = takes_s

    def _work(self, name: str) -> None:
        while not self._stopping.is_set():
            try:
                job_order = self._client.claim_job(name, CLAIM_WAIT_S)
                if job_order is not None:
                    self._run(name, job_order)
            except ServerSaidNo:
                continue  # the job is no longer wanted
            except ServerGone as gone:
                self.broke = gone
                return

    def _run(self, runner: str, job_order: JobOrder) -> None:
        began = time.monotonic()
        with self._lock:
            takes_s = self._takes_s()
        outcome = "fail" if is_red(_paths(self._client.job_tree(job_order.job))) else "pass"
        if self._stopping.wait(max(0.0, takes_s - (time.monotonic() - began))):
            return
        outcomes = {case.id: outcome for case in job_order.cases}
        status = "failed" if "fail" in outcomes.values() else "passed"
        verdict = Verdict(status, "", CaseCounts(), outcomes)
        self._client.finish_job(job_order.job, JobResult(runner=runner, verdict=verdict))
        self._tally.ran(time.monotonic(), job_order.commit)


@contextmanager
def runners(url: str, token: str, slots: int, tally: Tally) -> Iterator[Runners]:
    made = Runners(url, token, tally)
    threads = [
        threading.Thread(target=made._work, args=(f"slot-{number}",), daemon=True) for number in range(slots)
    ]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        made._stopping.set()
        for thread in threads:
            thread.join()
        made._client.close()


def _paths(tar: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return archive.getnames()
