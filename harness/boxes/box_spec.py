"""Owns what a box is and how that reads in the engine's API. Rule: pure; the defaults are the strictest that
still run a program.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LOG_MAX_SIZE = "10m"  # per log file of the engine, so that a chatty agent cannot fill the host's disk
LOG_MAX_FILES = "3"
SHM_BYTES = 64 << 20
NOFILE_MAX = 4096
OOM_SCORE = 500  # when the host itself runs out of memory, boxes go before the server and the engine
# Keeps a box alive for exec: reaps orphans (they count against the pids limit) and ends at once on SIGTERM.
IDLE = ("/bin/sh", "-c", "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait; done")


@dataclass(frozen=True)
class Bind:
    source: str
    target: str
    read_only: bool = True


@dataclass(frozen=True)
class Volume:
    name: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class BoxSpec:
    """Everything about one box; memory and file sizes in MB, CPUs in cores."""

    image: str
    argv: tuple[str, ...]
    name: str
    labels: Mapping[str, str]
    binds: tuple[Bind, ...] = ()
    volumes: tuple[Volume, ...] = ()
    tmpfs: Mapping[str, str] = field(default_factory=dict)  # target -> mount options
    env: Mapping[str, str] = field(default_factory=dict)
    memory_mb: int = 512
    cpus: float = 1.0
    pids: int = 128
    file_mb: int | None = None  # largest single file it may write
    user: str = "10001:10001"
    workdir: str | None = None
    hostname: str = "box"
    runtime: str | None = None  # None = the engine's default; "runsc" for gVisor
    network: str = "none"
    seccomp: str | None = None  # the profile's JSON text; None = the engine's own profile
    read_only: bool = True
    entrypoint: tuple[str, ...] = ()


def to_api(spec: BoxSpec) -> dict[str, Any]:
    """Return the body of POST /containers/create (Engine API 1.41, which is that of Docker 20.10)."""
    assert "harness.run" in spec.labels and "harness.kind" in spec.labels, (
        "an unlabelled box could never be swept"
    )
    return {
        "Image": spec.image,
        "Cmd": list(spec.argv),
        "Entrypoint": list(spec.entrypoint),
        "User": spec.user,
        "Hostname": spec.hostname,
        "Labels": dict(spec.labels),
        "Env": [f"{name}={value}" for name, value in spec.env.items()],
        "WorkingDir": spec.workdir or "",
        "NetworkDisabled": spec.network == "none",
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host(spec),
    }


def _host(spec: BoxSpec) -> dict[str, Any]:
    memory = spec.memory_mb << 20
    # Without this the engine writes the host's resolvers into the box, where a look-up would wait for what it
    # cannot reach.
    resolvers = {"Dns": ["127.0.0.1"]} if spec.network == "none" else {}
    seccomp = [f"seccomp={spec.seccomp}"] if spec.seccomp else []
    host: dict[str, Any] = {
        "Mounts": [*map(_bind, spec.binds), *map(_volume, spec.volumes)],
        "Tmpfs": dict(spec.tmpfs),
        "ReadonlyRootfs": spec.read_only,
        "NetworkMode": spec.network,
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "Privileged": False,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges", *seccomp],
        "Memory": memory,
        "MemorySwap": memory,
        "NanoCpus": int(spec.cpus * 1e9),
        "PidsLimit": spec.pids,
        "ShmSize": SHM_BYTES,
        "Ulimits": _ulimits(spec),
        "OomScoreAdj": OOM_SCORE,
        "Init": False,
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
        "LogConfig": {"Type": "json-file", "Config": {"max-size": LOG_MAX_SIZE, "max-file": LOG_MAX_FILES}},
    }
    return host | resolvers | ({"Runtime": spec.runtime} if spec.runtime else {})


def _bind(bind: Bind) -> dict[str, Any]:
    # Propagation stays the engine's choice: it refuses rprivate for a source inside its own data root (a
    # named volume).
    return {"Type": "bind", "Source": bind.source, "Target": bind.target, "ReadOnly": bind.read_only}


def _volume(volume: Volume) -> dict[str, Any]:
    return {"Type": "volume", "Source": volume.name, "Target": volume.target, "ReadOnly": volume.read_only}


def _ulimits(spec: BoxSpec) -> list[dict[str, Any]]:
    limits = {"nofile": NOFILE_MAX, "core": 0}
    if spec.file_mb is not None:
        limits["fsize"] = spec.file_mb << 20
    return [{"Name": name, "Soft": limit, "Hard": limit} for name, limit in limits.items()]
