"""What may break under an oracle job does break here, with real parts: the engine, boxes, disks, runners, the
server.

Each time: the job is broken for a reason that the log tells, it is tried again, and it gets one verdict, the
right one.
"""

import dataclasses
import io
import os
import random
import shutil
import signal
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.boxes import sandbox
from harness.boxes.containers import BoxBroke, Engine
from harness.images.stock import Images
from harness.oracle_runner import oracle_box
from harness.oracle_runner.oracle_box import BoxSizes, OracleBox
from harness.run.place import admin_client
from oracle.cases.spec import Suite
from tests.waiting import BOUND_S, until

from . import own_engine
from .judged import CASES, Judged, judged, make, runner, sleepers, start_runner, up
from .own_engine import OwnEngine

pytestmark = pytest.mark.containers

RIGHT = {"status": "passed", "outcomes": dict.fromkeys(CASES, "pass")}
WRONG = {"status": "failed", "outcomes": dict.fromkeys(CASES, "fail")}
KILLS, JOBS, SEED = 4, 10, 3
OWN_DISK_MB = 700

ImageFor = Callable[[Suite, str], str]


@pytest.fixture(scope="module")
def images(engine: Engine) -> ImageFor:
    return Images(engine).image_for


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judged]:
    with judged(tmp_path_factory.mktemp("resilience") / "project") as made:
        yield made


@pytest.fixture
def label(engine: Engine) -> Iterator[str]:
    """The run label of one test's boxes, of which none outlives it."""
    name = f"test{os.urandom(4).hex()}"
    yield name
    sandbox.sweep_run(engine, name)
    assert engine.list({sandbox.RUN: name}) == []


def told(verdict: dict) -> dict:
    return {name: verdict[name] for name in RIGHT}


# -- the box
# --------------------------------------------------------------------------------------------------


def test_a_box_that_goes_in_mid_run_breaks_the_try_and_not_the_job(
    place: Judged, engine: Engine, images: ImageFor, label: str
):
    with runner(place, engine, images, {sandbox.RUN: label}):
        job = place.ask()
        until(lambda: place.runs(job))
        for found in engine.list({sandbox.RUN: label, sandbox.KIND: "oracle-candidate"}):
            box = engine.find(found.id)
            assert box is not None
            box.remove()
        assert told(place.verdict(job)) == RIGHT
    assert place.tries(job) == [(1, "broken"), (2, "passed")]
    assert "box" in place.events("job_done", job)[0]["reason"]
    assert engine.list({sandbox.RUN: label}) == [], "a runner that stopped leaves none"


@pytest.mark.parametrize(
    ("work_mb", "scratch_mb", "said"),
    [
        (
            4,
            64,
            r"4 MB for a tree .* 0 MB of it are free(.|\n)*full: /work \(4 MB, `oracle_work_mb` of \[run\]\)",
        ),
        (
            64,
            4,
            r"does not fit into /scratch/0(.|\n)*full: /scratch/0 \(4 MB, `oracle_scratch_mb` of \[run\]\)",
        ),
    ],
)
def test_a_tree_that_does_not_fit_is_broken_and_says_so(
    engine: Engine, images: ImageFor, label: str, work_mb: int, scratch_mb: int, said: str
):
    """In its place, or in the copy in which a project's own tests run."""
    suite = Suite("unit", "command", "toy", command="true", results="tap")
    labels = {sandbox.RUN: label, sandbox.KIND: "oracle-candidate"}
    spec = oracle_box.spec(
        one_image(images),
        name=f"harness-{label}",
        labels=labels,
        slots=1,
        work_mb=work_mb,
        scratch_mb=scratch_mb,
    )
    sizes = BoxSizes(work_mb=work_mb, scratch_mb=scratch_mb)
    box = OracleBox(engine.start(spec), slots=1, sizes=sizes)

    def placed_and_copied() -> None:
        box.prepare(tar({"large": "x" * (8 << 20)}), suite)
        box.project(suite, "true")

    with pytest.raises(BoxBroke, match=said):
        placed_and_copied()


@pytest.mark.parametrize(
    ("build", "run", "said"),
    [
        ("head -c 9000000 /dev/zero > made", "true", "full: /work (4 MB, `oracle_work_mb` of [run])"),
        ("head -c 9000000 /dev/zero > /tmp/made", "true", "full: /tmp (3 MB, `oracle_tmp_mb` of [run])"),
        (None, "head -c 9000000 /dev/zero > made", "full: /scratch/0 (5 MB, `oracle_scratch_mb` of [run])"),
        (None, "head -c 9000000 /dev/zero > /tmp/made", "full: /tmp (3 MB, `oracle_tmp_mb` of [run])"),
        (
            None,
            "head -c 9000000 /dev/zero > /tmp/made; s=$?; rm /tmp/made; exit $s",
            "one of these was full: /work (4 MB, `oracle_work_mb` of [run]), "
            "/scratch/0 (5 MB, `oracle_scratch_mb` of [run]), /tmp (3 MB, `oracle_tmp_mb` of [run])",
        ),
        (None, "kill -9 $$", "killed, perhaps for memory: the box has 256 MB (`oracle_memory_mb` of [run])"),
    ],
)
def test_what_ran_out_in_a_box_is_told_with_its_size_and_setting(
    engine: Engine, images: ImageFor, label: str, build: str | None, run: str, said: str
):
    suite = Suite("unit", "command", "toy", command=run, build=build, results="tap")
    sizes = BoxSizes(memory_mb=256, work_mb=4, scratch_mb=5, tmp_mb=3)
    labels = {sandbox.RUN: label, sandbox.KIND: "oracle-candidate"}
    spec = oracle_box.spec(
        one_image(images), name=f"harness-{label}", labels=labels, slots=1, **dataclasses.asdict(sizes)
    )
    box = OracleBox(engine.start(spec), slots=1, sizes=sizes)
    built = box.prepare(tar({"small": "x"}), suite)
    if build is not None:
        assert built is not None and built.exit != 0 and built.tail.rstrip().endswith(said)
        return
    ended = box.project(suite, run)
    assert ended is not None and ended.exit != 0 and ended.tail.rstrip().endswith(said)


# -- the engine
# -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own(images: ImageFor) -> Iterator[OwnEngine]:
    if why := own_engine.lacking():
        pytest.skip(why)
    with own_engine.own_engine(OWN_DISK_MB) as made:
        made.load([one_image(images)])
        yield made


def one_image(images: ImageFor) -> str:
    return images(Suite("x", "differential", "x"), "candidate")


def under_way(place: Judged) -> int:
    """A run whose slow case is under way: one that is over before anybody looked is asked for again."""
    job = place.ask()
    seen = until(lambda: "runs" if place.runs(job) else "over" if place.tries(job) else "")
    return job if seen == "runs" else under_way(place)


def test_an_engine_that_is_restarted_in_mid_run_breaks_the_try_and_the_next_one_passes(
    place: Judged, own: OwnEngine, images: ImageFor, label: str
):
    image = one_image(images)
    with Engine.connect(own.url) as engine, runner(place, engine, lambda *_: image, {sandbox.RUN: label}):
        job = under_way(place)
        own.stop()
        until(lambda: place.tries(job))
        assert place.admin.job(job).state == "queued", "nobody takes it while there is no engine"
        own.start()
        assert told(place.verdict(job)) == RIGHT
    assert place.tries(job) == [(1, "broken"), (2, "passed")]
    with Engine.connect(own.url) as engine:
        sandbox.sweep_run(engine, label)
        assert engine.list({sandbox.RUN: label}) == []


def test_an_engine_whose_disk_is_full_breaks_the_try_and_says_so(
    place: Judged, own: OwnEngine, images: ImageFor, label: str
):
    image, filler = one_image(images), own.disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(own.disk).free)
    with Engine.connect(own.url) as engine, runner(place, engine, lambda *_: image, {sandbox.RUN: label}):
        job = place.ask()
        until(lambda: place.tries(job))
        filler.unlink()
        assert told(place.verdict(job)) == RIGHT
    assert place.tries(job)[0] == (1, "broken") and place.tries(job)[-1][1] == "passed"
    assert "no space left" in place.events("job_done", job)[0]["reason"]


# -- the runner
# -----------------------------------------------------------------------------------------------


def test_a_job_of_a_killed_runner_goes_to_another_once_it_is_missed(
    place: Judged, engine: Engine, images: ImageFor, label: str
):
    names = process_images(images)
    job = place.ask()
    first = start_runner(place, label, names)
    until(lambda: place.runs(job))
    first.kill()
    first.wait()
    assert engine.list({sandbox.RUN: label}, running_only=True), "it could not clean up"
    with runner(place, engine, images, {sandbox.RUN: label}):
        assert told(place.verdict(job)) == RIGHT
    assert place.tries(job) == [(1, "broken"), (2, "passed")]
    assert "fell silent" in place.events("job_done", job)[0]["reason"]
    starts = [event["runner"] for event in place.events("job_started", job)]
    assert len(set(starts)) == 2, "none can speak for another of its name"


def test_three_runners_with_kills_give_every_job_one_verdict_and_the_right_one(
    place: Judged, engine: Engine, images: ImageFor, label: str
):
    chance = random.Random(SEED)
    names = process_images(images)
    crew = [start_runner(place, label, names) for _ in range(3)]
    try:
        jobs = {
            place.ask(commit): expected
            for commit, expected in [(place.right, RIGHT), (place.wrong, WRONG)] * (JOBS // 2)
        }
        for _ in range(KILLS):
            # Any job may be hit, but none so often that it would be given up.
            until(
                lambda: (
                    sleepers()
                    and not [
                        job
                        for job in jobs
                        if len(place.tries(job)) == 2 and place.admin.job(job).state != "done"
                    ]
                )
            )
            victim = chance.randrange(len(crew))
            crew[victim].kill()
            crew[victim].wait()
            crew[victim] = start_runner(place, label, names)
        for job, expected in jobs.items():
            assert told(place.verdict(job)) == expected
    finally:
        for process in crew:
            process.kill()
            process.wait()
    for job, expected in jobs.items():
        endings = [status for _, status in place.tries(job)]
        assert endings == ["broken"] * (len(endings) - 1) + [expected["status"]]


def test_the_next_run_sweeps_what_a_killed_one_left_and_judges_its_job(engine: Engine, tmp_path: Path):
    make(tmp_path / "project")
    with up(tmp_path / "project") as (first, state):
        with admin_client(str(state.server_url()), state) as admin:
            job = admin.run_oracle("shout", fresh=True)["shout"]
            until(lambda: admin.job(job).state == "running" and sleepers())
        first.kill()
        first.wait()
    left = {box.id for box in engine.list({sandbox.RUN: state.label})}
    assert left
    with up(tmp_path / "project") as (second, _):
        assert not left & {box.id for box in engine.list({sandbox.RUN: state.label})}
        with admin_client(str(state.server_url()), state) as admin:
            assert told(until(lambda: admin.job(job).verdict).to_json()) == RIGHT
        second.send_signal(signal.SIGINT)
        assert second.wait(BOUND_S) == 130
    assert engine.list({sandbox.RUN: state.label}) == []


# -- the server
# -----------------------------------------------------------------------------------------------


def test_a_job_outlives_its_server_and_gets_one_verdict(
    place: Judged, engine: Engine, images: ImageFor, label: str
):
    with runner(place, engine, images, {sandbox.RUN: label}):
        job = place.ask()
        until(lambda: place.runs(job))
        os.kill(place.server.pid, signal.SIGKILL)
        until(lambda: place.server.restarts and place.alive())
        assert told(place.verdict(job)) == RIGHT
    assert place.tries(job) == [(1, "passed")]
    assert [event["reason"] for event in place.events("job_taken_back", job)] == ["the server was restarted"]


def tar(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


def process_images(images: ImageFor) -> tuple[str, str]:
    suite = Suite("x", "differential", "x")
    return images(suite, "candidate"), images(suite, "reference")
