"""Images for these tests: a real program with a wrapper around it. Rule: made from the kind's own image,
without a network.
"""

import io
import tarfile
from pathlib import Path

from docker import DockerClient

from harness.boxes.containers import Engine
from harness.images.stock import Images

DOCKERFILE = """FROM {below}
USER 0:0
COPY sink.py /opt/harness/sink.py
RUN rm /usr/local/bin/{kind}
COPY wrapper /usr/local/bin/{kind}
USER 10001:10001
"""
WRAPPER = """#!/bin/sh
{before}
exec /opt/agent/node_modules/.bin/{kind} "$@"
"""
SINK = "python3 -I /opt/harness/sink.py || exit 70"


def wrapped(engine: Engine, kind: str, name: str, before: str) -> str:
    """The kind's image, in which `before` runs before its program does."""
    below = Images(engine).ensure(kind)
    made = f"localhost/harness-test/{kind}-{name}:{below.rpartition(':')[2]}"
    files = {
        "Dockerfile": DOCKERFILE.format(below=below, kind=kind),
        "wrapper": WRAPPER.format(before=before, kind=kind),
        "sink.py": Path(__file__).with_name("sink.py").read_text(),
    }
    client = DockerClient.from_env()
    try:
        client.images.build(fileobj=_tar(files), custom_context=True, tag=made, rm=True, network_mode="none")
    finally:
        client.close()
    return made


def _tar(files: dict[str, str]) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o755
            tar.addfile(entry, io.BytesIO(text.encode()))
    out.seek(0)
    return out
