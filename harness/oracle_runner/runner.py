"""Owns the oracle jobs of one runner: claim, run both sides in boxes apart, judge, answer.

Rule: one job at a time; a box that broke makes the verdict broken and is never used again; a job that was
lost is dropped; no job is claimed while the engine is away.
"""

import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Protocol

from harness.boxes import sandbox
from harness.boxes.containers import BoxBroke, Engine
from harness.client import ServerGone, ServerSaidNo, UnreadableOrder
from harness.images.image_engine import BuildFailed
from harness.oracle_runner import oracle_box
from harness.oracle_runner.oracle_box import BoxSizes, OracleBox
from harness.oracle_runner.oracle_work import Work
from harness.oracle_runner.warm_boxes import WarmBoxes
from mcp_server.wire.environments import EnvironmentOrder
from mcp_server.wire.jobs import JobOrder, JobResult, RunnerSuites
from oracle.cases.spec import BadSpec, Suite
from oracle.judging import verdict
from oracle.judging.run import Ran
from oracle.suites import kinds

CLAIM_WAIT_S = 1.0  # a runner that is asked to stop does so within it
RENEW_S = 5.0  # the server gives a job up after 30 s without
RETRY_S = 0.5
FINISH_TRIES = 20
BUILD_AGAIN_S = 300.0  # after an environment that could not be built: what is at fault may be the network
MEND_PAUSE_S = 2.0  # after a job that broke here: another runner may have its next try
MEND_S_MAX = 60.0  # for an engine that worked before to work again; then the next job is told what is wrong

log = logging.getLogger(__name__)

ImageOn = Callable[[Suite, EnvironmentOrder], str]


class Jobs(Protocol):
    """What a runner needs of the server. Each act raises ServerGone, which may be tried again, or
    ServerSaidNo.
    """

    def runner_suites(self) -> RunnerSuites: ...
    def environment(self, name: str) -> EnvironmentOrder: ...
    def claim_job(self, runner: str, wait_s: float, images: Mapping[str, str]) -> JobOrder | None: ...
    def renew_job(self, runner: str, job: int) -> object: ...
    def job_tree(self, job: int) -> bytes: ...
    def job_reference_files(self, job: int) -> bytes: ...
    def finish_job(self, job: int, result: JobResult) -> object: ...


class Runner:
    """Runs jobs until it is told to stop. `labels` are put on every box, so that a sweep finds them.

    `image_for` returns an image's id, which is what boxes are started from: what its name stands for may
    change at any time. `registered` is set once the server knows which images this runner has.
    """

    def __init__(
        self,
        client: Jobs,
        engine: Engine,
        image_for: Callable[[Suite, str], str],
        name: str,
        *,
        labels: Mapping[str, str],
        image_on: ImageOn | None = None,
        slots: int | None = None,
        memory_mb: int = oracle_box.MEMORY_MB,
        work_mb: int = oracle_box.WORK_MB,
        scratch_mb: int = oracle_box.SCRATCH_MB,
        tmp_mb: int = oracle_box.TMP_MB,
        runtime: str | None = None,
        renew_s: float = RENEW_S,
    ) -> None:
        self.client = client
        # Two hosts may both have a "runner-1", and one that was killed comes back under its name: neither may
        # speak for the other.
        self._engine, self._name = engine, f"{name}-{uuid.uuid4().hex[:6]}"
        self._labels, self._runtime = dict(labels), runtime
        self._sizes = BoxSizes(memory_mb, work_mb, scratch_mb, tmp_mb)
        self._slots, self._renew_s = slots or oracle_box.cores(), renew_s
        self._boxes = WarmBoxes(self._start)
        self._image_for, self._image_on = image_for, image_on
        self._environments: dict[str, tuple[str, EnvironmentOrder]] = {}
        self._unbuilt: dict[tuple[str, str], tuple[float, str]] = {}
        self.registered = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Claims and runs one job after another; returns soon after `stop` is set, with every box removed."""
        try:
            while not stop.is_set():
                if not self._engine.answers():
                    log.warning("runner %s: the engine does not answer: no job is taken", self._name)
                    stop.wait(RETRY_S)
                    continue
                try:
                    job_order = self._claim()
                except UnreadableOrder as wrong:
                    self._answer(wrong.job, _broken(wrong), stop)
                    continue
                except (ServerGone, ServerSaidNo) as error:
                    log.warning("runner %s: no job: %s", self._name, error)
                    stop.wait(RETRY_S)
                    continue
                if job_order is not None and not self.serve(job_order, stop):
                    self._mend(stop)
        finally:
            self.close()

    def _claim(self) -> JobOrder | None:
        """Claim a job, with the ids of all images that a job may need. The first claim waits for none: a run
        begins with it.
        """
        told = self.client.runner_suites()
        self._keep_up(told.environments)
        images = self._images(told.suites)
        wait_s = CLAIM_WAIT_S if self.registered.is_set() else 0.0
        job_order = self.client.claim_job(self._name, wait_s, images)
        self.registered.set()
        return job_order

    def _images(self, suites: Sequence[Suite]) -> dict[str, str]:
        """Return by suite the ids of its images. One whose image cannot be had is left out: its job will be
        told why.
        """
        found = {}
        for suite in suites:
            with contextlib.suppress(BoxBroke):
                found[suite.name] = _joined(self._images_of(suite))
        return {name: image for name, image in found.items() if image}

    def _images_of(self, suite: Suite) -> dict[str, str]:
        """Return the image ids of the suite's roles; none of a suite whose kind is not known here."""
        roles = kinds.roles(suite) if kinds.find(suite) else ()
        return {role: self._image_of(suite, role) for role in roles}

    def _image_of(self, suite: Suite, role: str) -> str:
        environment = self._environments.get(suite.environment or "")
        if role == kinds.CANDIDATE and environment is not None and self._image_on is not None:
            return self._on_environment(suite, *environment, image_on=self._image_on)
        return self._image_for(suite, role)

    def _on_environment(self, suite: Suite, key: str, order: EnvironmentOrder, *, image_on: ImageOn) -> str:
        """Return the image of a suite on its environment. One that could not be built is not tried again for
        a while, since a runner asks for it with every claim.
        """
        until_s, why = self._unbuilt.get((suite.name, key), (0.0, ""))
        if time.monotonic() < until_s:
            raise BuildFailed(why)
        try:
            return image_on(suite, order)
        except BuildFailed as failed:
            self._unbuilt[suite.name, key] = time.monotonic() + BUILD_AGAIN_S, str(failed)
            raise

    def _keep_up(self, keys: Mapping[str, str]) -> None:
        """Ask what each environment is made of, where that is not what it was."""
        for name, key in keys.items():
            if name not in self._environments or self._environments[name][0] != key:
                self._environments[name] = key, self.client.environment(name)

    def _mend(self, stop: threading.Event) -> None:
        """Waits until a box starts again: a restart of the engine must not use up all tries of a job."""
        until = time.monotonic() + MEND_S_MAX
        while not stop.wait(MEND_PAUSE_S) and time.monotonic() < until:
            try:
                return self._boxes.prove()
            except BoxBroke as error:
                log.warning("runner %s: no job is taken: %s", self._name, error)

    def close(self) -> None:
        """Removes every box that was kept warm."""
        self._boxes.close()

    def serve(self, job_order: JobOrder, stop: threading.Event) -> bool:
        """Run one claimed job and answer it, unless the job is lost or the runner stopped meanwhile.

        Return False if something broke here, so that another runner had better have the job's next try.
        """
        job, cases, began_s = job_order.job, len(job_order.cases), time.monotonic()
        is_sound, image = True, ""
        with self._renewed(job, stop) as dropped:
            try:
                images = self._images_of(job_order.suite)
                image = _joined(images)
                ran = Work(self._boxes, images).judge(
                    job_order,
                    lambda: self.client.job_tree(job),
                    lambda: self.client.job_reference_files(job),
                )
            except ServerSaidNo as error:
                log.warning("runner %s: job %s dropped: %s", self._name, job, error)
                return True
            except (ServerGone, BadSpec) as error:
                ran = _broken(error, cases=cases)
            except BoxBroke as error:
                ran, is_sound = _broken(error, cases=cases), False
            except Exception as error:  # a fault of ours: the job is told of it, and the runner lives on
                log.exception("runner %s: job %s", self._name, job)
                ran, is_sound = _broken(error, cases=cases), False
            if not dropped.is_set():
                took_ms = round((time.monotonic() - began_s) * 1000)
                took = replace(ran, verdict=replace(ran.verdict, took_ms=took_ms))
                self._answer(job, took, stop, image=image)
        return is_sound

    def _answer(self, job: int, ran: Ran, stop: threading.Event, *, image: str = "") -> None:
        reference = dict(ran.reference)
        result = JobResult(runner=self._name, verdict=ran.verdict, reference=reference, image=image)
        for _ in range(FINISH_TRIES):
            try:
                self.client.finish_job(job, result)
                return
            except ServerSaidNo as error:
                log.warning("runner %s: the verdict of job %s was not wanted: %s", self._name, job, error)
                return
            except ServerGone:
                if stop.wait(RETRY_S):
                    return

    @contextlib.contextmanager
    def _renewed(self, job: int, stop: threading.Event) -> Iterator[threading.Event]:
        """Keeps the job while it runs. The event it gives is set once the job is lost or the runner stops;
        its boxes are then killed.
        """
        done, dropped = threading.Event(), threading.Event()
        thread = threading.Thread(
            target=self._beat, args=(job, done, dropped, stop), name=f"{self._name}-beat", daemon=True
        )
        thread.start()
        try:
            yield dropped
        finally:
            done.set()
            thread.join()

    def _beat(self, job: int, done: threading.Event, dropped: threading.Event, stop: threading.Event) -> None:
        next_beat = time.monotonic() + self._renew_s
        while not done.wait(RETRY_S):
            if stop.is_set():
                dropped.set()
            elif time.monotonic() >= next_beat and not dropped.is_set():
                next_beat = time.monotonic() + self._renew_s
                try:
                    self.client.renew_job(self._name, job)
                except ServerSaidNo as error:
                    log.warning("runner %s: job %s is lost: %s", self._name, job, error)
                    dropped.set()
                except ServerGone:
                    # it may come back; if not, the job is not ours any more and its answer will be refused
                    continue
            if dropped.is_set():  # each time: a box may just be starting
                self._boxes.kill_busy()

    def _start(self, image: str, role: str) -> OracleBox:
        name = f"harness-oracle-{self._name}-{role}-{uuid.uuid4().hex[:12]}"
        labels = {**self._labels, sandbox.KIND: f"oracle-{role}"}
        spec = oracle_box.spec(
            image,
            name=name,
            labels=labels,
            slots=self._slots,
            **asdict(self._sizes),
            runtime=self._runtime,
        )
        return OracleBox(self._engine.start(spec), self._slots, self._sizes)


def _joined(images: Mapping[str, str]) -> str:
    return " ".join(images.values())


def _broken(error: Exception, *, cases: int = 0) -> Ran:
    return Ran(verdict.broken(f"{type(error).__name__}: {error}", cases=cases))
