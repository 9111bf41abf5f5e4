"""Bears servers: a process that has imported `mcp_server` once, and forks a real server for each line of its
input.

What a start costs is mostly imports; a test that kills servers by the hundred need not pay for them each
time.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path


class Nursery:
    """Answers with the process ids of servers. Whoever dies is gone at once: nobody has to wait for them."""

    def __init__(self) -> None:
        sources = str(Path(__file__).parents[2])
        env = os.environ | {"PYTHONPATH": os.pathsep.join([sources, os.environ.get("PYTHONPATH", "")])}
        self._mother = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )

    def bear(self, argv: list[str], env: dict[str, str], out: Path) -> int:
        assert self._mother.stdin is not None and self._mother.stdout is not None
        self._mother.stdin.write(json.dumps({"argv": argv, "env": env, "out": str(out)}) + "\n")
        self._mother.stdin.flush()
        return int(self._mother.stdout.readline())

    def close(self) -> None:
        assert self._mother.stdin is not None
        self._mother.stdin.close()
        self._mother.wait(30)


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _serve() -> None:
    from mcp_server import __main__ as server

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps them
    for line in sys.stdin:
        wanted = json.loads(line)
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for number in (1, 2):
                os.dup2(os.open(wanted["out"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
            os.environ.update(wanted["env"])
            sys.argv = ["mcp_server", *wanted["argv"]]
            os._exit(server.main())
        print(pid, flush=True)


if __name__ == "__main__":
    _serve()
