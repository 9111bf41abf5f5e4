"""Owns the only door to Docker: boxes, volumes, the sweep. Rule: the world broke -> BoxBroke is raised; a
command ended -> a value is returned.
"""

import contextlib
import functools
import math
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import docker
import docker.errors
import requests
import urllib3.exceptions

from harness.boxes import frames
from harness.boxes.box_spec import IDLE, Bind, BoxSpec, Volume, to_api

__all__ = [
    "IDLE",
    "Bind",
    "Box",
    "BoxBroke",
    "BoxSpec",
    "ExecResult",
    "Engine",
    "Found",
    "BoxState",
    "Swept",
    "Volume",
]

ENGINE_TIMEOUT_S = 120  # one engine call; 24 boxes starting at once on 2 cores stay well below
# Each agent's log stream holds one; more are made, and thrown away with a warning each.
CONNECTIONS_KEPT = 128
START_RETRIES = 2  # runc 1.1 loses a race on cgroup v1 now and then when many boxes start together
NO_PROGRAM = "executable file not found"  # the image lacks it: no other try finds it
REAP_TIMEOUT_S = 10  # for `kill -9 -1` inside a box; then the whole box is killed
OUTPUT_BYTES_MAX = 8 << 20
KILLED = (137, 255)
DEATH_REPORT_S = 1.0
LOG_PAUSE_S = 0.02
STATUS_PAUSE_S = 0.002  # a small job is two commands, one after the other
SWEEP_TRIES = 3
BROKEN = (
    docker.errors.DockerException,
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
)


Stdin = bytes | Callable[[], bytes]


class BoxBroke(Exception):
    """The engine, the image or the box failed; says nothing about the command. May be retried."""


@dataclass(frozen=True)
class ExecResult:
    """How a command ended. exit is None only if timed_out."""

    exit: int | None
    stdout: bytes
    stderr: bytes
    timed_out: bool = False
    truncated: bool = False


@dataclass(frozen=True)
class BoxState:
    running: bool
    exit: int | None
    out_of_memory: bool


@dataclass(frozen=True)
class Found:
    """A box that the engine knows, as `list` reports it."""

    id: str
    name: str
    image: str
    state: str
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Swept:
    boxes: int = 0
    volumes: int = 0


@contextlib.contextmanager
def _breaking(what: str) -> Iterator[None]:
    try:
        yield
    except docker.errors.APIError as error:
        raise BoxBroke(f"{what}: {error.explanation or error}") from error
    except BROKEN as error:
        raise BoxBroke(f"{what}: {error}") from error


class Box:
    """One started container. Safe to use from several threads."""

    def __init__(self, client: docker.DockerClient, box_id: str, name: str) -> None:
        self._api = client.api
        self.id = box_id
        self.name = name

    def state(self) -> BoxState:
        with _breaking(f"box {self.name}: inspect"):
            state = self._api.inspect_container(self.id)["State"]
        running = bool(state["Running"])
        return BoxState(running, None if running else state["ExitCode"], bool(state["OOMKilled"]))

    def alive(self) -> bool:
        """Return whether it runs: False also for a box that is gone. Raise BoxBroke only if the engine does
        not answer.
        """
        try:
            return self.state().running
        except BoxBroke as error:
            if isinstance(error.__cause__, docker.errors.NotFound):
                return False
            raise

    def wait(self, timeout_s: float) -> int | None:
        """Return the exit status of pid 1, or None if it still runs after timeout_s."""
        try:
            with _breaking(f"box {self.name}: wait"):
                return int(self._api.wait(self.id, timeout=max(timeout_s, 0.05))["StatusCode"])  # type: ignore[arg-type]
        except BoxBroke as error:
            if _is_timeout(error.__cause__):
                return None
            raise

    def exec(
        self,
        argv: Iterable[str],
        *,
        stdin: Stdin = b"",
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
        timeout_s: float,
        silence_s: float = math.inf,
        output_bytes_max: int = OUTPUT_BYTES_MAX,
    ) -> ExecResult:
        """Run argv beside pid 1, feeding stdin while reading both outputs; each output is cut at
        output_bytes_max. Raise BoxBroke if the box is not running or dies meanwhile.

        What gives stdin is called while the command starts; timeout_s begins when it has given it.
        A command that says nothing for silence_s may have been stopped by another of its user's processes:
        they are all told to go on. Silent for as long again it has timed out. At timeout_s every process of
        that user in this box but pid 1 is killed (the engine cannot end a single exec, and a daemonised child
        would escape anything finer); if that fails too, the box is killed.
        """
        with _breaking(f"box {self.name}: exec {next(iter(argv), '')}"):
            exec_id = self._api.exec_create(
                self.id, list(argv), stdin=True, user=user or "", environment=dict(env or {}), workdir=workdir
            )["Id"]
            wire = self._api.exec_start(exec_id, socket=True)
            with contextlib.closing(frames.Hijacked(wire)) as stream:
                talk = frames.Talk(stream, stdin() if callable(stdin) else stdin, output_bytes_max)
                deadline = time.monotonic() + timeout_s
                run = functools.partial(
                    talk.run,
                    deadline,
                    ended=lambda: not self._api.exec_inspect(exec_id)["Running"],
                    silence_s=silence_s,
                )
                is_over = run()
                if not is_over and time.monotonic() < deadline:
                    self._signal(user, "CONT")
                    is_over = run()
                if not is_over:
                    self._reap(user)
                    talk.run(time.monotonic() + 1.0, ended=lambda: True)
                    return ExecResult(
                        None, talk.stdout, talk.stderr, timed_out=True, truncated=talk.truncated
                    )
            status = self._exec_status(exec_id, deadline)
        if status is None or (status in KILLED and self._has_died()):
            raise BoxBroke(f"box {self.name}: it died while a command ran in it")
        return ExecResult(status, talk.stdout, talk.stderr, truncated=talk.truncated)

    def _exec_status(self, exec_id: str, deadline: float) -> int | None:
        """Wait for the exit status: the engine closes the stream a moment before it records it. Return None
        if it never does.
        """
        until = max(deadline, time.monotonic() + REAP_TIMEOUT_S)
        while time.monotonic() < until:
            command = self._api.exec_inspect(exec_id)
            if not command["Running"]:
                status = command["ExitCode"]
                return None if status is None else int(status)
            time.sleep(STATUS_PAUSE_S)
        return None

    def _has_died(self) -> bool:
        """Return whether the box has ended: that takes its commands with it, and the engine reports theirs
        first.
        """
        return not self.alive() or self.wait(DEATH_REPORT_S) is not None

    def _reap(self, user: str | None) -> None:
        if not self._signal(user, "KILL"):  # no shell, or no process slot left: the box itself has to go
            with contextlib.suppress(docker.errors.APIError):
                self._api.kill(self.id)

    def _signal(self, user: str | None, name: str) -> bool:
        """Send a signal to every process of that user but pid 1. Return whether that could be done."""
        try:
            command = ["/bin/sh", "-c", f"kill -{name} -1"]
            exec_id = self._api.exec_create(self.id, command, user=user or "")["Id"]
            self._api.exec_start(exec_id, detach=True)
            return self._exec_status(exec_id, time.monotonic()) in (0, 137)
        except (docker.errors.APIError, requests.exceptions.RequestException):
            return False

    def follow_logs(self) -> Iterator[tuple[str, bytes]]:
        """Yield ("stdout" | "stderr", line without its end) from the first line on, until the box has ended
        or is gone.
        """
        log = frames.Log()
        while True:
            follow = self.alive()  # asked before reading: the last pass then reads a log that is complete
            with _breaking(f"box {self.name}: logs"), self._open_logs(log.since_s, follow=follow) as answer:
                if answer.status_code not in (200, 404, 409):
                    raise BoxBroke(f"box {self.name}: logs: {answer.text.strip()}")
                if answer.status_code == 200:
                    yield from log.read(answer.raw)
            # A following pass may miss the last lines of a box that ends (seen with engine 20.10).
            if not follow:
                yield from log.rest()
                return
            time.sleep(LOG_PAUSE_S)

    def _open_logs(self, since_s: int, *, follow: bool) -> requests.Response:
        query = {"follow": int(follow), "stdout": 1, "stderr": 1, "timestamps": 1, "since": since_s}
        url = f"{self._api.base_url}/v{self._api.api_version}/containers/{self.id}/logs"
        return self._api.get(url, params=query, stream=True, timeout=(ENGINE_TIMEOUT_S, None))

    def kill(self) -> None:
        """End it now; no error if it has ended already."""
        with _breaking(f"box {self.name}: kill"), _unless_ended():
            self._api.kill(self.id)

    def stop(self, grace_s: int) -> None:
        """Send SIGTERM to pid 1, and SIGKILL after grace_s."""
        with _breaking(f"box {self.name}: stop"), _unless_ended():
            self._api.stop(self.id, timeout=grace_s)

    def remove(self) -> None:
        with _breaking(f"box {self.name}: remove"), _unless_ended():
            self._api.remove_container(self.id, force=True, v=True)


@contextlib.contextmanager
def _unless_ended() -> Iterator[None]:
    """Take it for done where the box has ended: 404 = gone already, 409 = not running, or its removal is
    under way.
    """
    try:
        yield
    except docker.errors.APIError as error:
        if error.status_code not in (404, 409):
            raise


def _is_timeout(error: BaseException | None) -> bool:
    if isinstance(error, requests.exceptions.Timeout | socket.timeout):
        return True
    return "timed out" in str(error).lower()


class Engine:
    """A connection to one Docker engine. Close it, or use it `with`."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self._api = client.api

    @classmethod
    def connect(cls, url: str | None = None) -> Self:
        """Return a connection; raise BoxBroke if no engine answers.

        `url` None = where the Docker client's own settings point.
        """
        with _breaking("no Docker engine answers"):
            options: dict[str, Any] = {"timeout": ENGINE_TIMEOUT_S, "max_pool_size": CONNECTIONS_KEPT}
            client = docker.DockerClient(base_url=url, **options) if url else docker.from_env(**options)
            client.ping()
        return cls(client)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def start(self, spec: BoxSpec) -> Box:
        """Create a box and start it, or leave nothing behind and raise BoxBroke."""
        with _breaking(f"box {spec.name}: start"):
            answer = self._api.create_container_from_config(to_api(spec), spec.name)  # type: ignore[no-untyped-call]
            box = Box(self._client, answer["Id"], spec.name)
            try:
                self._start_with_retries(box.id)
            except BaseException:
                with contextlib.suppress(BoxBroke):
                    box.remove()
                raise
        return box

    def _start_with_retries(self, box_id: str) -> None:
        for attempt in range(START_RETRIES + 1):
            try:
                return self._api.start(box_id)
            except docker.errors.APIError as error:
                is_engines_fault = (error.status_code or 0) >= 500
                if attempt == START_RETRIES or not is_engines_fault or NO_PROGRAM in str(error):
                    raise
                time.sleep(0.2 * (attempt + 1))

    def find(self, name_or_id: str) -> Box | None:
        """Return the box of that name or id; None if there is none."""
        with _breaking(f"box {name_or_id}: inspect"):
            try:
                row = self._api.inspect_container(name_or_id)
            except docker.errors.NotFound:
                return None
        return Box(self._client, row["Id"], row["Name"].lstrip("/"))

    def list(self, labels: Mapping[str, str | None], *, running_only: bool = False) -> list[Found]:
        """Return the boxes that carry all these labels (None = any value)."""
        with _breaking("list boxes"):
            rows = self._api.containers(all=not running_only, filters={"label": _label_filter(labels)})
        return [_found(row) for row in rows]

    def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        with _breaking(f"volume {name}: create"):
            self._api.create_volume(name, labels=dict(labels))

    def remove_volume(self, name: str) -> None:
        with _breaking(f"volume {name}: remove"), _unless_gone():
            self._api.remove_volume(name, force=True)

    def volumes(self, labels: Mapping[str, str | None]) -> dict[str, Mapping[str, str]]:
        """Return the labels of each volume that carries all these labels, by its name."""
        with _breaking("list volumes"):
            rows = self._api.volumes(filters={"label": _label_filter(labels)})["Volumes"] or []
        return {row["Name"]: row["Labels"] or {} for row in rows}

    def sweep(self, labels: Mapping[str, str | None]) -> Swept:
        """Remove every box, then every volume, that carries all these labels; an empty filter, which would
        remove all, is our own mistake.

        What appears meanwhile (a box that was just being made) is removed too, within SWEEP_TRIES looks.
        """
        assert labels, "a sweep needs a label"
        boxes: set[str] = set()
        volumes: set[str] = set()
        for attempt in range(SWEEP_TRIES):
            found, names = self.list(labels), self.volumes(labels)
            if not found and not names:
                break
            for box in found:
                Box(self._client, box.id, box.name).remove()
                boxes.add(box.id)
            for name in names:
                try:
                    self.remove_volume(name)
                    volumes.add(name)
                except BoxBroke:  # in use, by a box that was made after the look
                    if attempt == SWEEP_TRIES - 1:
                        raise
        return Swept(len(boxes), len(volumes))

    def answers(self) -> bool:
        """Return whether the engine is there: it may be restarted, and its boxes with it, at any time."""
        try:
            return bool(self._api.ping())
        except BROKEN:
            return False

    def version(self) -> str:
        with _breaking("engine version"):
            return str(self._api.version()["Version"])

    def image_id(self, image: str) -> str | None:
        """Return the id of the image; None if there is no such image."""
        with _breaking(f"image {image}: inspect"):
            try:
                return str(self._api.inspect_image(image)["Id"])  # type: ignore[no-untyped-call]
            except docker.errors.ImageNotFound:
                return None


def _found(row: Mapping[str, Any]) -> Found:
    name = (row["Names"] or ["/"])[0].lstrip("/")
    return Found(row["Id"], name, row["Image"], row["State"], row["Labels"] or {})


@contextlib.contextmanager
def _unless_gone() -> Iterator[None]:
    with contextlib.suppress(docker.errors.NotFound):
        yield


def _label_filter(labels: Mapping[str, str | None]) -> list[str]:
    return [key if value is None else f"{key}={value}" for key, value in labels.items()]
