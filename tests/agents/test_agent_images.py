"""What is in the images of the real programs, seen by a plain container of each."""

import json
import re
from pathlib import Path

import pytest
from docker import DockerClient

from harness.agents.kinds import PROGRAMS
from harness.boxes.containers import Engine
from harness.images.stock import Images

from .place import ROOT

pytestmark = [pytest.mark.agents, pytest.mark.timeout(1200)]

VERSION = re.compile(r"\d+\.\d+\.\d+")


def said(image: str, script: str) -> str:
    client = DockerClient.from_env()
    try:
        return (
            client.containers.run(
                image, ["sh", "-c", script], entrypoint=[], network_mode="none", remove=True
            )
            .decode()
            .strip()
        )
    finally:
        client.close()


def lock(kind: str, name: str = "package-lock.json") -> dict:
    return json.loads((ROOT / "images" / kind / name).read_text())


@pytest.mark.parametrize("kind", PROGRAMS)
def test_the_program_is_the_pinned_one_runs_as_nobody_and_can_become_nobody_else(
    kind: str, engine: Engine
) -> None:
    ((_, pinned),) = lock(kind, "package.json")["dependencies"].items()
    script = f"id -u; HOME=/tmp {kind} --version; find / -xdev -perm /6000 -type f 2>/dev/null; find /opt /usr -xdev -type f -writable 2>/dev/null; true"
    user, *rest = said(Images(engine).ensure(kind), script).splitlines()
    assert user == "10001"
    assert [found[0] for line in rest if (found := VERSION.search(line))] == [pinned], rest
    assert len(rest) == 1, rest


@pytest.mark.parametrize("kind", ["node", *PROGRAMS])
def test_every_package_of_a_lock_has_its_hash_and_names_no_registry(kind: str) -> None:
    packages = {name: entry for name, entry in lock(kind)["packages"].items() if name}
    assert packages
    assert all(
        entry["integrity"].startswith("sha512-") for entry in packages.values() if not entry.get("inBundle")
    )
    assert not any("resolved" in entry for entry in packages.values())


def test_the_locks_belong_to_their_packages() -> None:
    for file in Path(ROOT / "images").glob("*/package.json"):
        wanted, locked = json.loads(file.read_text()), lock(file.parent.name)["packages"][""]
        for group in ("dependencies", "optionalDependencies"):
            assert wanted.get(group) == locked.get(group), file
