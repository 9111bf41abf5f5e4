"""A Docker engine of a test's own, to be restarted and filled up: no other engine on the machine notices it.

Rule: it lives in namespaces of its own (network, so that it never meets docker0; mounts, so that its disk
ends with it).
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.boxes.containers import BoxBroke, Engine
from tests.waiting import until

STOP_S = 30.0
LOG_TAIL_BYTES = 2_000
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
TOOLS = ("dockerd", "containerd", "unshare", "nsenter", "mount", "docker")


def lacking() -> str | None:
    """Why there can be no such engine here."""
    if os.geteuid() != 0:
        return "only root can start a Docker engine"
    missing = [tool for tool in TOOLS if shutil.which(tool, path=PATH) is None]
    return f"this needs {', '.join(missing)}" if missing else None


class OwnEngine:
    """Started with `start`, ended with `stop`; boxes and images stay on its disk meanwhile. The place is
    short: a socket's path has 108 bytes.
    """

    def __init__(self, place: Path, disk_mb: int) -> None:
        self.place = place
        self.url = f"unix://{place}/docker.sock"
        (place / "data").mkdir()
        script = f"mount -t tmpfs -o size={disk_mb}m disk {place}/data && echo ready && exec sleep infinity"
        argv = ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", script]
        self._keeper = subprocess.Popen(argv, env=os.environ | {"PATH": PATH}, stdout=subprocess.PIPE)
        assert self._keeper.stdout is not None and self._keeper.stdout.readline() == b"ready\n"
        self._daemon: subprocess.Popen[bytes] | None = None

    @property
    def disk(self) -> Path:
        """Its disk, as seen from outside of its namespaces."""
        return Path(f"/proc/{self._keeper.pid}/root{self.place}/data")

    def start(self) -> None:
        inside = ["nsenter", f"--target={self._keeper.pid}", "--net", "--mount"]
        settings = {
            "host": self.url,
            "data-root": f"{self.place}/data",
            "exec-root": f"{self.place}/exec",
            "pidfile": f"{self.place}/pid",
        }
        argv = [
            *inside,
            "dockerd",
            *(f"--{name}={value}" for name, value in settings.items()),
            "--bridge=none",
            "--iptables=false",
        ]
        (self.place / "pid").unlink(missing_ok=True)
        with (self.place / "log").open("ab") as log:
            self._daemon = subprocess.Popen(
                argv, env=os.environ | {"PATH": PATH}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        daemon = self._daemon
        until(lambda: self._answers() or daemon.poll() is not None, self._last_words)
        assert daemon.poll() is None, self._last_words()

    def _last_words(self) -> str:
        return (self.place / "log").read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")

    def stop(self) -> None:
        """In good order, its boxes with it; `nsenter` has become the daemon, so it is our child."""
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon.wait(STOP_S)
            self._daemon = None

    def load(self, images: list[str]) -> None:
        """Brings images of the machine's engine in."""
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saved:
            subprocess.run(
                ["docker", "--host", self.url, "load", "--quiet"],
                stdin=saved.stdout,
                check=True,
                stdout=subprocess.DEVNULL,
            )
        assert saved.returncode == 0

    def close(self) -> None:
        self.stop()
        self._keeper.kill()
        self._keeper.wait()

    def _answers(self) -> bool:
        try:
            with Engine.connect(self.url) as engine:
                return engine.answers()
        except BoxBroke:
            return False


@contextmanager
def own_engine(disk_mb: int) -> Iterator[OwnEngine]:
    place = Path(tempfile.mkdtemp(prefix="eng", dir="/tmp"))
    engine = OwnEngine(place, disk_mb)
    try:
        engine.start()
        yield engine
    finally:
        engine.close()
        shutil.rmtree(place, ignore_errors=True)
