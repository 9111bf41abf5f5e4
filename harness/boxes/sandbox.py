"""Owns the hardening profile and the boxes of an agent's session. Rule: everything it makes carries the run's
label, so that a sweep finds it.
"""

import contextlib
import functools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.boxes.containers import Bind, Box, BoxBroke, BoxSpec, Engine, Swept, Volume
from mcp_server.config import AgentSpec

RUN, KIND, SESSION, AGENT = "harness.run", "harness.kind", "harness.session", "harness.agent"
DOOR_TARGET = "/run/harness"
WORKSPACE = "/workspace"
URL_INSIDE = "http://127.0.0.1:8765"
ENTRY = ("/usr/bin/python3", "-I", "/opt/harness/entry.py")
# exec is allowed on both: build tools and CLIs unpack and run programs there, and /workspace allows it
# anyway.
TMPFS = {
    "/tmp": "rw,exec,nosuid,nodev,size=512m,nr_inodes=65536,mode=1777",
    "/home/agent": "rw,exec,nosuid,nodev,size=512m,nr_inodes=65536,mode=0700,uid=10001,gid=10001",
}
SALVAGE_MEMORY_MB = 512
SALVAGE_PIDS = 64
SALVAGE_TIMEOUT_S = 60.0
DU_TIMEOUT_S = 15.0
EXEC_TIMEOUT_S = 60.0  # far above DU_TIMEOUT_S: an exec that times out costs the whole box its processes
PROBE_TIMEOUT_S = 120.0  # a vendor's CLI takes seconds to say its version, on a loaded machine many
TRIAL_MEMORY_MB = 64
TRIAL_PIDS = 16


@dataclass(frozen=True)
class SandboxSession:
    """What one session's box is made of. `door`: the directory with door.sock, on the host."""

    run: str  # the label's value; one for each state directory
    session: str
    agent: str
    token: str
    door: Path
    image: str
    repos: tuple[tuple[str, str], ...]  # (name, branch)
    spec: AgentSpec
    runtime: str | None = None
    egress: bool = False  # its tools may connect to the places of [egress], through the door

    @property
    def box_name(self) -> str:
        return f"harness-{self.run}-{self.session}"

    @property
    def labels(self) -> dict[str, str]:
        return {RUN: self.run, SESSION: self.session, AGENT: self.agent}


@functools.cache
def seccomp_profile() -> str:
    """Return our own allow-list: an old engine's profile still lets AF_ALG and AF_VSOCK through."""
    return Path(__file__).with_name("seccomp.json").read_text()


def hardened(
    *,
    image: str,
    argv: Sequence[str],
    name: str,
    labels: Mapping[str, str],
    runtime: str | None = None,
    **limits: Any,
) -> BoxSpec:
    """Return a box with the profile that every box of ours has; `limits` are further fields of BoxSpec."""
    return BoxSpec(
        image=image,
        argv=tuple(argv),
        name=name,
        labels=labels,
        seccomp=seccomp_profile(),
        runtime=runtime,
        **limits,
    )


def box_of(session: SandboxSession, *, salvage: bool = False) -> BoxSpec:
    """Return the box of the session's agent, or the one that saves what such a box left."""
    spec = session.spec
    return hardened(
        image=session.image,
        argv=ENTRY,
        name=session.box_name + ("-salvage" if salvage else ""),
        labels={**session.labels, KIND: "salvage" if salvage else "agent"},
        runtime=session.runtime,
        binds=(Bind(str(session.door.resolve()), DOOR_TARGET),),
        volumes=(Volume(session.box_name, WORKSPACE),),
        tmpfs=TMPFS,
        env={"HOME": "/home/agent"},
        workdir=WORKSPACE,
        hostname=session.agent,
        memory_mb=SALVAGE_MEMORY_MB if salvage else spec.memory_mb,
        cpus=1.0 if salvage else spec.cpus,
        pids=SALVAGE_PIDS if salvage else spec.pids,
        file_mb=spec.disk_mb,
    )


def start(
    engine: Engine,
    session: SandboxSession,
    *,
    argv: Sequence[str],
    env: Mapping[str, str],
    files: Mapping[str, str],
) -> Box:
    """Return a running box on a fresh workspace; leave nothing behind if that fails (BoxBroke)."""
    write_session(session, mode="work", argv=argv, env=env, files=files)
    engine.create_volume(session.box_name, {**session.labels, KIND: "workspace"})
    try:
        return engine.start(box_of(session))
    except BoxBroke:
        engine.remove_volume(session.box_name)
        raise


def salvage(engine: Engine, session: SandboxSession) -> tuple[bool, list[bytes]]:
    """Save what a dead box left in its workspace, in a fresh box on the same volume.

    Return True if nothing is known to be lost, and the lines that the salvage printed.
    """
    write_session(session, mode="salvage")
    box = engine.start(box_of(session, salvage=True))
    try:
        saved = box.wait(SALVAGE_TIMEOUT_S) == 0
        box.kill()
        return saved, [line for _, line in box.follow_logs()]
    finally:
        box.remove()


def remove(engine: Engine, session: SandboxSession, box: Box | None) -> None:
    """Remove the session's box, workspace, token file and door directory; the socket itself was the
    server's.
    """
    if box is not None:
        box.remove()
    engine.remove_volume(session.box_name)
    (session.door / "session.json").unlink(missing_ok=True)
    # A server that is down has left its socket there; it clears up when it is back.
    with contextlib.suppress(OSError):
        session.door.rmdir()


def write_session(
    session: SandboxSession,
    *,
    mode: str,
    argv: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
) -> None:
    """Write what entry.py reads. It is world-readable for the sandbox's user; the directory above it keeps
    the host's other users out.
    """
    way_out = proxy_env(session) if session.egress else {}
    content = {
        "agent": session.agent,
        "session": session.session,
        "token": session.token,
        "url": URL_INSIDE,
        "mode": mode,
        "repos": [{"name": name, "branch": branch} for name, branch in session.repos],
        "argv": list(argv),
        "env": {**way_out, **(env or {})},
        "files": dict(files or {}),
    }
    session.door.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    session.door.mkdir(mode=0o755, exist_ok=True)
    with contextlib.suppress(PermissionError):  # then they are the server's, which made them right
        session.door.chmod(0o755)
    partial = session.door / ".session.json"
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o644)
        json.dump(content, file)
    partial.replace(session.door / "session.json")


def proxy_env(session: SandboxSession) -> dict[str, str]:
    """Return the variables by which tools find the way out (docs/egress.md). What is at the door itself, and
    in the box, is reached without it.
    """
    proxy, direct = URL_INSIDE.replace("://", f"://agent:{session.token}@"), "127.0.0.1,localhost"
    return {"HTTPS_PROXY": proxy, "https_proxy": proxy, "NO_PROXY": direct, "no_proxy": direct}


def used_mb(box: Box) -> int | None:
    """Return how much the workspace holds, in MB; None if the box cannot say (too busy, or out of processes:
    its other limits hold).
    """
    try:
        ended = box.exec(("timeout", str(DU_TIMEOUT_S), "du", "-sxm", WORKSPACE), timeout_s=EXEC_TIMEOUT_S)
    except BoxBroke:
        return None
    first = ended.stdout.split(b"\t")[0]
    return int(first) if first.isdigit() else None


def trial(
    engine: Engine,
    run: str,
    image: str,
    argv: Sequence[str],
    *,
    memory_mb: int = TRIAL_MEMORY_MB,
    pids: int = TRIAL_PIDS,
    runtime: str | None = None,
) -> tuple[int | None, str]:
    """Run a command in a box of its own, without door or workspace.

    Return its exit status, None if it did not end, and its last line.
    """
    spec = hardened(
        image=image,
        argv=argv,
        name=f"harness-{run}-probe-{os.urandom(4).hex()}",
        labels={RUN: run, KIND: "probe"},
        runtime=runtime,
        tmpfs=TMPFS,
        env={"HOME": "/home/agent"},
        memory_mb=memory_mb,
        pids=pids,
    )
    box = engine.start(spec)
    try:
        status = box.wait(PROBE_TIMEOUT_S)
        box.kill()
        lines = [line.decode(errors="replace").strip() for _, line in box.follow_logs()]
    finally:
        box.remove()
    return status, next((line for line in reversed(lines) if line), "")


def sweep_run(engine: Engine, run: str) -> Swept:
    """Remove every box and volume of the run."""
    return engine.sweep({RUN: run})


def sweep_dead(engine: Engine, alive: Callable[[str], bool]) -> dict[str, Swept]:
    """Remove what runs left of which `alive(run)` is false. Return what that was, by run."""
    of_boxes = {box.labels[RUN] for box in engine.list({RUN: None})}
    of_volumes = {labels[RUN] for labels in engine.volumes({RUN: None}).values()}
    return {run: sweep_run(engine, run) for run in sorted(of_boxes | of_volumes) if not alive(run)}
