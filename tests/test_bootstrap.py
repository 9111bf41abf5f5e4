"""What `make` does before anything else: .venv, git, the engine; for real, in scratch directories and beside
the engine that runs.
"""

import importlib
import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import until

ROOT = Path(__file__).parent.parent
SCRIPTS = ROOT / "scripts"
SYSTEM_PYTHON = Path("/usr/bin/python3")
NOBODY = 65534
STEP_S_MAX = 400  # a hang, on whatever machine
TINY_PROJECT = """
[build-system]
requires = ["setuptools>=68"]
build-backend = "setuptools.build_meta"
[project]
name = "tiny"
version = "1"
optional-dependencies = { test = [] }
[tool.setuptools]
py-modules = []
"""


# A second engine on the host's network would share, and spoil, the bridge of the one that runs.
OWN_NETWORK = ("unshare", "--net")


def bootstrap(
    *steps: str,
    scripts: Path = SCRIPTS,
    python: str = sys.executable,
    user: int | None = None,
    within: tuple[str, ...] = (),
    **environ: str,
) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "CI": "true", **environ}
    return subprocess.run(
        [*within, python, str(scripts / "bootstrap.py"), *steps],
        env=env, cwd=scripts.parent, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=STEP_S_MAX, user=user,
    )  # fmt: skip


@pytest.fixture
def modules() -> Iterator[None]:
    """The set-up's own modules can be imported."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        yield
    finally:
        sys.path.remove(str(SCRIPTS))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(SCRIPTS, tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "pyproject.toml").write_text(TINY_PROJECT)
    (tmp_path / "constraints.txt").write_text("# none\n")
    return tmp_path


# -- the virtual environment --


def test_the_environment_is_made_once_and_again_after_a_change_and_a_failure_is_never_taken_for_done(
    project: Path,
):
    """One test, because making one takes seconds."""
    stamp = project / ".venv/made-from"
    (project / ".venv/bin").mkdir(parents=True)
    (project / ".venv/bin/python").write_text("what an interrupted set-up left")
    made = bootstrap("environment", scripts=project / "scripts")
    assert made.returncode == 0, made.stderr
    assert (
        subprocess.run(
            [project / ".venv/bin/python", "-c", "import importlib.metadata as m; m.version('tiny')"]
        ).returncode
        == 0
    )
    assert stamp.exists()

    found = bootstrap("environment", "git", scripts=project / "scripts")
    assert (found.returncode, found.stderr) == (0, ""), "it has nothing to do, and so nothing to say"

    (project / "constraints.txt").write_text("this is not a constraint !\n")
    failed = bootstrap("environment", scripts=project / "scripts")
    assert failed.returncode == 3 and "making .venv" in failed.stderr
    assert "not a constraint" in failed.stderr and "takes it up again" in failed.stderr
    assert not stamp.exists()


@pytest.mark.usefixtures("modules")
def test_a_python_that_is_too_old_is_told_which_one_to_use():
    environment, machine = importlib.import_module("environment"), importlib.import_module("machine")
    with pytest.raises(machine.Cannot, match=r"3\.11 or newer is needed; this is 3\.9\.2"):
        environment.check_python((3, 9, 2))
    environment.check_python((3, 11, 0))


# -- git and the distribution --


def test_a_git_that_is_too_old_is_told_why(tmp_path: Path):
    old = tmp_path / "git"
    old.write_text("#!/bin/sh\necho git version 2.30.2\n")
    old.chmod(0o755)
    said = bootstrap("git", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert said.returncode == 3
    assert "git 2.38 or newer is needed" in said.stderr and "2.30.2" in said.stderr


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize(
    ("platform", "installed", "debian", "can"),
    [("darwin", False, False, False), ("darwin", True, False, False), ("linux", False, False, False),
     ("linux", True, False, True), ("linux", False, True, True)],
)  # fmt: skip
def test_an_engine_is_provided_only_where_that_is_known(
    platform: str, installed: bool, debian: bool, can: bool
):
    assert importlib.import_module("engine").can_provide(platform, installed, debian) is can


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize(
    ("release", "is_debian"),
    [("ID=debian\n", True), ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', True), ("ID=arch\n", False)],
)
def test_debian_is_known_by_its_release_file(tmp_path: Path, release: str, is_debian: bool):
    if shutil.which("apt-get") is None:
        pytest.skip("not a Debian")
    (tmp_path / "os-release").write_text(release)
    assert importlib.import_module("machine").is_debian(str(tmp_path / "os-release")) is is_debian


# -- the engine --


def test_an_engine_elsewhere_that_does_not_answer_is_named():
    said = bootstrap("engine", DOCKER_HOST="unix:///nonexistent/docker.sock", HARNESS_ENGINE_DIR="")
    assert said.returncode == 3 and "/nonexistent/docker.sock" in said.stderr


@pytest.mark.skipif(
    os.geteuid() != 0 or not SYSTEM_PYTHON.exists(), reason="needs root, to become somebody else"
)
def test_an_engine_closed_to_the_user_tells_the_group_to_join():
    with tempfile.TemporaryDirectory() as scratch:
        os.chmod(scratch, 0o755)
        shutil.copytree(SCRIPTS, f"{scratch}/scripts")
        closed = Path(scratch) / "closed"
        closed.mkdir(mode=0o700)
        said = bootstrap(
            "engine", scripts=Path(scratch) / "scripts", python=str(SYSTEM_PYTHON), user=NOBODY,
            DOCKER_HOST=f"unix://{closed}/docker.sock", HOME="/nonexistent",
        )  # fmt: skip
    assert said.returncode == 3 and "usermod -aG docker" in said.stderr


needs_dockerd = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin") is None,
    reason="needs root and dockerd",
)


@pytest.fixture
def engine_dir() -> Iterator[Path]:
    """A place for an engine beside the one that runs; a short one, for a socket's path has 108 bytes. Its
    engine is ended.
    """
    place = Path(tempfile.mkdtemp(prefix="eng", dir="/tmp"))
    yield place
    try:
        pid = int((place / "dockerd.pid").read_text())
    except FileNotFoundError:
        pid = None
    if pid is not None and f"{place}" in Path(f"/proc/{pid}/cmdline").read_text():
        os.kill(pid, signal.SIGTERM)
        until(lambda: not Path(f"/proc/{pid}").exists() or "Z" in _state_of(pid))
    shutil.rmtree(place, ignore_errors=True)


def _state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def beside(place: Path) -> dict[str, str]:
    """Settings of an engine that lives wholly in `place`; to be started only within OWN_NETWORK."""
    return {"HARNESS_ENGINE_DIR": str(place), "HARNESS_ENGINE_ARGS": "", "DOCKER_HOST": ""}


@needs_dockerd
@pytest.mark.containers
def test_an_engine_is_started_once_survives_the_set_up_and_is_found_the_next_time(engine_dir: Path):
    (engine_dir / "dockerd.pid").write_text(
        str(os.getpid())
    )  # as a killed engine's file, whose number went to somebody else
    bridge = _bridge()
    started = bootstrap("engine", within=OWN_NETWORK, **beside(engine_dir))
    assert started.returncode == 0, started.stderr
    assert "starting the Docker engine" in started.stderr
    pid = int((engine_dir / "dockerd.pid").read_text())
    assert pid != os.getpid() and os.getsid(pid) != os.getsid(0)
    assert (engine_dir / "dockerd.log").stat().st_size > 0

    found = bootstrap("engine", within=OWN_NETWORK, **beside(engine_dir))
    assert (found.returncode, found.stderr) == (0, "")
    assert int((engine_dir / "dockerd.pid").read_text()) == pid
    assert _bridge() == bridge


def _bridge() -> str | None:
    """The identity of the bridge that the machine's own engine uses."""
    place = Path("/sys/class/net/docker0/ifindex")
    return place.read_text() if place.exists() else None


@needs_dockerd
@pytest.mark.containers
def test_an_engine_that_cannot_start_shows_the_end_of_its_log(engine_dir: Path):
    said = bootstrap(
        "engine", within=OWN_NETWORK, **{**beside(engine_dir), "HARNESS_ENGINE_ARGS": "--no-such-option"}
    )
    assert said.returncode == 3
    assert "no-such-option" in said.stderr and str(engine_dir / "dockerd.log") in said.stderr


@needs_dockerd
def test_a_person_at_a_terminal_is_asked_and_may_say_no(engine_dir: Path):
    env = {key: value for key, value in os.environ.items() if key not in ("CI", "YES")} | beside(engine_dir)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, str(SCRIPTS / "bootstrap.py"), "engine"],
        env=env,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as asked:
        os.close(theirs)
        os.write(ours, b"n\n")
        said = _read_all(ours)
        status = asked.wait(STEP_S_MAX)
    assert status == 3
    assert "Start the Docker engine? [Y/n]" in said and "no Docker engine runs" in said
    assert not (engine_dir / "dockerd.log").exists()


def _read_all(terminal: int) -> str:
    said = b""
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # how a terminal tells that its other side is closed
            piece = b""
        if not piece:
            os.close(terminal)
            return said.decode()
        said += piece


# -- make --

made = pytest.mark.skipif(
    not (ROOT / ".venv/made-from").exists(), reason="this run does not come from `make test`"
)


@made
def test_ci_ends_with_the_summary_and_the_status_of_pytest(tmp_path: Path):
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    good, bad = tmp_path / "test_good.py", tmp_path / "test_bad.py"
    good.write_text("def test_good():\n    pass\n")
    bad.write_text("def test_bad():\n    assert 0\n")

    def run(*files: Path) -> subprocess.CompletedProcess[str]:
        arguments = f"--rootdir {tmp_path} -p no:cacheprovider {' '.join(map(str, files))}"
        return subprocess.run(
            ["bash", str(ROOT / ".ci/run"), "test"],
            env={**env, "TEST_ARGS": arguments},
            capture_output=True,
            text=True,
            timeout=STEP_S_MAX,
        )

    passed = run(good)
    assert passed.returncode == 0, passed.stderr
    assert "1 passed" in passed.stdout.splitlines()[-1]
    failed = run(good, bad)
    assert failed.returncode != 0
    assert "1 failed, 1 passed" in failed.stdout.splitlines()[-1]
