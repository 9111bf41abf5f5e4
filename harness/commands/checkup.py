"""Owns what `harness doctor` looks at: engine, storage, images, disk, git, configuration, agents.

Rule: it looks and changes nothing; a finding is a value with what to do about it.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.agents.base import Seat
from harness.agents.kinds import KINDS, NEEDS
from harness.boxes.containers import BoxBroke, Engine
from harness.images.image_engine import ImageEngine
from harness.images.stock import SANDBOXES, Images, Order, suite_orders
from harness.run.plan import problem_line
from harness.run.state import StateDirectory
from harness.sessions.preflight import DISK_FREE_MIN_MB, INODES_FREE_MIN, Preflight
from mcp_server import config as configs
from mcp_server.config import Config
from mcp_server.core import paths
from mcp_server.core.landing import some
from oracle.cases.spec import Suite
from oracle.suites import kinds

OLDEST_GIT = (2, 38)  # merge-tree --write-tree
ENGINE_MEMORY_MIN_MB = 2048
SLOW_STORAGE = ("vfs", "devicemapper")  # every container copies its image


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `fix` says what to do when it is not ok."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


def checkup(config_file: Path | None, state: StateDirectory) -> Iterator[Finding]:
    """Everything, in the order in which a person would mend it; config_file None = there is none yet."""
    yield git_version(shutil.which("git"))
    existing = next(place for place in (state.root, *state.root.parents) if place.is_dir())
    yield from room(existing, "state")
    config, found = configuration(config_file)
    yield found
    for suite in config.suites.values() if config else ():
        yield Finding(f"oracle.{suite.name}", True, exposure(suite, writable(config, suite.repo)))
    try:
        with Engine.connect() as engine:
            yield from _engine_checks(engine, config, state, existing)
    except BoxBroke as broke:
        yield Finding(
            "engine",
            False,
            str(broke),
            "`make setup` in the harness's checkout installs and starts one; or set DOCKER_HOST",
        )


def git_version(git: str | None) -> Finding:
    needed = "install git {}.{} or newer".format(*OLDEST_GIT)
    if git is None:
        return Finding("git", False, "not found", needed)
    said = subprocess.run([git, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    found = re.search(r"(\d+)\.(\d+)", said)
    ok = found is not None and tuple(map(int, found.groups())) >= OLDEST_GIT
    return Finding("git", ok, said, "" if ok else needed)


def room(place: Path, name: str) -> Iterator[Finding]:
    """Disk and inodes where `place` lies."""
    free_mb = shutil.disk_usage(place).free >> 20
    enough = free_mb >= DISK_FREE_MIN_MB
    yield Finding(
        f"disk ({name})",
        enough,
        f"{free_mb} MB free on {place}",
        "" if enough else f"at least {DISK_FREE_MIN_MB} MB are needed",
    )
    stat = os.statvfs(place)
    if stat.f_files:  # 0 where inodes are not counted (btrfs)
        enough = stat.f_favail >= INODES_FREE_MIN
        needed = f"at least {INODES_FREE_MIN} are needed: remove small files, or choose another file system"
        yield Finding(
            f"inodes ({name})", enough, f"{stat.f_favail} free on {place}", "" if enough else needed
        )


def configuration(file: Path | None) -> tuple[Config | None, Finding]:
    """The configuration and every problem of it, those of the files that it names included."""
    if file is None or not file.is_file():
        return None, Finding("config", False, "no harness.toml here or above", "`harness init` writes one")
    loaded = configs.load(file, NEEDS)
    problems = loaded if isinstance(loaded, list) else configs.check_files(loaded, file.name)
    if problems:
        return None, Finding("config", False, "\n".join(map(problem_line, problems)), f"mend {file}")
    assert isinstance(loaded, Config)
    told = f"{file}: {len(loaded.tasks)} tasks, {len(loaded.suites)} suites, {len(loaded.agents)} kinds of agents"
    return loaded, Finding("config", True, told)


def writable(config: Config, repo: str) -> tuple[str, ...]:
    """What the agents of a repository may change, as globs."""
    return tuple(glob for module in config.modules.values() if module.repo == repo for glob in module.paths)


def exposure(suite: Suite, agents: tuple[str, ...]) -> str:
    """In how far the code that a suite tests could fool it; `agents` are the globs that agents may write."""
    kind = kinds.of(suite)
    own = kind.exposure(suite)
    open_ones = [
        glob
        for glob in kind.steering
        if not paths.within([glob], suite.protect) and paths.overlap_any([glob], agents)
    ]
    return f"{own}; agents may write what steers it: {some(open_ones)}" if open_ones else own


def _engine_checks(
    engine: Engine, config: Config | None, state: StateDirectory, existing: Path
) -> Iterator[Finding]:
    yield Finding("engine", True, f"Docker {engine.version()}")
    facts = ImageEngine(engine).facts()
    driver, total_mb = str(facts.get("Driver")), int(facts.get("MemTotal", 0)) >> 20
    slow = driver in SLOW_STORAGE
    yield Finding(
        "storage", not slow, driver, "use overlay2: each sandbox copies its whole image now" if slow else ""
    )
    enough = total_mb >= ENGINE_MEMORY_MIN_MB
    yield Finding(
        "memory",
        enough,
        f"{total_mb} MB on the engine",
        "" if enough else f"at least {ENGINE_MEMORY_MIN_MB} MB are needed",
    )
    at = Path(str(facts.get("DockerRootDir")))
    if at.is_dir():
        yield from room(at, "engine")
    images = Images(engine)
    yield from _images(images, config)
    if config is not None:
        yield from _agents(engine, images, config, state, existing)


def _images(images: Images, config: Config | None) -> Iterator[Finding]:
    for order in _orders(config):
        here = images.is_here(order)
        yield Finding(
            f"image {order}", here, "there" if here else "missing", "" if here else _image_fix(order)
        )


def _orders(config: Config | None) -> list[Order]:
    """Every image that a run of this configuration needs, once."""
    if config is None:
        return [Order(kind) for kind in SANDBOXES]
    orders = [KINDS[spec.kind].image_order(spec.image) for spec in config.agents.values() if spec.count]
    for suite in config.suites.values():
        orders += suite_orders(suite)
    return list(dict.fromkeys(orders))


def _image_fix(order: Order) -> str:
    return (
        f"build or pull {order.users}"
        if order.users
        else "`harness images` makes it; so does the first `harness up`"
    )


def _agents(
    engine: Engine, images: Images, config: Config, state: StateDirectory, existing: Path
) -> Iterator[Finding]:
    """Whether each kind of agent could start: its program in its image, its files in the project."""
    checks = Preflight(engine, run=state.label, state=existing, root=config.root)
    for spec in config.agents.values():
        order = KINDS[spec.kind].image_order(spec.image)
        if spec.count and images.is_here(order):
            problem = checks.problem(Seat(f"{spec.name}-1", spec), images.deliver(order))
            yield Finding(
                f"agents.{spec.name}",
                problem is None,
                problem or f"{spec.kind}, {spec.count} of them",
                "" if problem is None else "see its table in harness.toml",
            )
