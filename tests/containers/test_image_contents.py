"""What is in the sandbox images and what is not, seen by a plain container of each."""

import pytest
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from harness.boxes.containers import Engine
from harness.images.stock import Images

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def images(engine: Engine) -> Images:
    """Images; testcontainers' reaper is one of its own, so without a registry our own clean-up has to do."""
    made = Images(engine)
    if not made.registry_answers():
        testcontainers_config.ryuk_disabled = True
    return made


def said(image: str, script: str) -> str:
    with (
        DockerContainer(image)
        .with_kwargs(network_mode="none", entrypoint=["sleep"])
        .with_command("60") as box
    ):
        status, output = box.exec(["sh", "-c", script])
    assert status == 0, output
    return output.decode().strip()


@pytest.mark.parametrize("kind", ["base", "scripted", "oracle-candidate"])
def test_nobody_becomes_root_by_a_file(images: Images, kind: str):
    assert said(images.ensure(kind), "find / -xdev -perm /6000 -type f 2>/dev/null; true") == ""


def test_the_candidates_image_has_no_reference_in_any_form(images: Images):
    look = "command -v sqlite3; python3 -c 'import sqlite3' 2>/dev/null && echo module; find / -xdev -name '*sqlite*.so*' 2>/dev/null; true"
    assert said(images.ensure("oracle-candidate"), look) == ""


def test_an_agents_image_runs_as_nobody_in_particular(images: Images):
    assert said(images.ensure("base"), "id -u") == "10001"
