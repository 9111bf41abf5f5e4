"""What several of these tests do with a box."""

import json

from harness.boxes import sandbox
from harness.boxes.containers import Box, Engine
from harness.boxes.sandbox import SandboxSession


def python(box: Box, code: str, *args: str, timeout_s: float = 60) -> list[str]:
    ended = box.exec(["python3", "-I", "-c", code, *args], timeout_s=timeout_s)
    assert ended.exit == 0, (ended.stdout + ended.stderr).decode()
    return ended.stdout.decode().splitlines()


def ready(engine: Engine, session: SandboxSession, argv: list[str] | None = None) -> Box:
    box = sandbox.start(engine, session, argv=argv or ["sleep", "600"], env={}, files={})
    wait_for_log(box, "started")
    return box


def wait_for_log(box: Box, event: str) -> None:
    needle = f'{{"harness": "{event}"'.encode()
    for _, line in box.follow_logs():
        if line.startswith(needle):
            return
    raise AssertionError(f"the box ended without {event}")


def ran(engine: Engine, session: SandboxSession, script: str, **more: dict) -> tuple[int | None, list[str]]:
    """Exit status and all lines of a session that runs a shell script."""
    box = sandbox.start(
        engine, session, argv=["sh", "-c", script], env=more.get("env", {}), files=more.get("files", {})
    )
    lines = [line.decode() for _, line in box.follow_logs()]
    return box.wait(30), lines


def told(lines: list[str], event: str) -> list[dict]:
    return [
        found
        for line in lines
        if line.startswith('{"harness"') and (found := json.loads(line))["harness"] == event
    ]
