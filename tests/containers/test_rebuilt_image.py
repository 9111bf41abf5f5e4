"""An image that is rebuilt under the same name while a server runs: what the old one showed counts no more."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.boxes import sandbox
from harness.boxes.containers import Engine
from harness.images.image_engine import ImageEngine
from harness.images.stock import Images
from tests.waiting import until

from .judged import CONFIG, Judged, judged, runner
from .test_runner import tar

pytestmark = pytest.mark.containers

RIGHT, WRONG = "tr a-z A-Z", "tr a-z B-ZA"
NAME = f"harness-test-rebuilt-{os.getpid()}:1"
DOCKERFILE = "ARG BASE\nFROM ${BASE}\nCOPY shout /opt/shout\n"
IN_IMAGE = CONFIG.replace('candidate = "sh toy/shout.sh"', f'candidate = "sh /opt/shout"\nimage = "{NAME}"')


@pytest.fixture
def build(engine: Engine) -> Iterator[Callable[[str], str]]:
    """Build the suite's image anew, with this program in it, and return its id."""
    images, base = ImageEngine(engine), Images(engine).ensure("oracle-candidate")
    built = []

    def again(program: str) -> str:
        context = tar({"Dockerfile": DOCKERFILE, "shout": f"{program}\n"})
        images.build(context, NAME, dockerfile="Dockerfile", args={"BASE": base}, labels={})
        id = images.id(NAME)
        assert id is not None
        built.append(id)
        return id

    yield again
    for id in built:
        images.remove(id)


def passing(place: Judged) -> int:
    return place.admin.status().suites["shout"].passing


def test_main_is_run_again_in_an_image_that_was_rebuilt_under_its_name_and_old_verdicts_do_not_stand(
    engine: Engine, tmp_path: Path, build: Callable[[str], str]
):
    old = build(RIGHT)
    label = f"test{os.urandom(4).hex()}"
    try:
        with judged(tmp_path / "project", IN_IMAGE) as place:
            with runner(place, engine, Images(engine).image_for, {sandbox.RUN: label}):
                until(lambda: passing(place) == 2)
                before = place.admin.run_oracle("shout")["shout"]
                assert place.verdict(before)["status"] == "passed"
                new = build(WRONG)
                assert new != old
                until(lambda: place.admin.events(kind="suite_image")[-1].data["before"])
                until(lambda: place.admin.events(kind="baseline")[-1].data["counts"]["failed"] == 2)
                assert passing(place) == 0
                again = place.admin.run_oracle("shout")["shout"]
                assert again != before and place.verdict(again)["status"] == "failed"
            [first, second] = place.admin.events(kind="suite_image")
            assert str(first.data["image"]).startswith(old) and str(second.data["image"]).startswith(new)
    finally:
        sandbox.sweep_run(engine, label)
