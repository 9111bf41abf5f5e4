"""Owns what `harness doctor` looks at: engine, storage, images, disk, git, configuration, agents.

Rule: it looks and changes nothing; a finding is a value with what to do about it.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from harness.agents.base import Seat
from harness.agents.kinds import KINDS, NEEDS
from harness.boxes.containers import BoxBroke, Engine
from harness.commands import repo_look
from harness.commands.finding import Finding
from harness.images.image_engine import ImageEngine
from harness.images.stock import SANDBOXES, Images, Order, suite_orders
from harness.run.state import StateDirectory
from harness.sessions.preflight import DISK_FREE_MIN_MB, INODES_FREE_MIN, Preflight
from mcp_server import config as configs
from mcp_server.config import Config
from oracle.suites import kinds

OLDEST_GIT = (2, 38)  # merge-tree --write-tree
ENGINE_MEMORY_MIN_MB = 2048
ENGINE_FIX = "`make setup` in the harness's checkout installs and starts one; or set DOCKER_HOST"
SLOW_STORAGE = ("vfs", "devicemapper")  # every container copies its image


def checkup(config_file: Path | None, state: StateDirectory) -> Iterator[Finding]:
    """Yield every finding, in the order in which a person would mend them. `config_file` None = there is none
    yet.
    """
    yield git_version(shutil.which("git"))
    existing = next(place for place in (state.root, *state.root.parents) if place.is_dir())
    yield from room(existing, "state")
    config, found = configuration(config_file)
    yield found
    if config is not None:
        for suite in config.suites.values():
            yield Finding(f"oracle.{suite.name}", True, kinds.of(suite).exposure(suite))
        yield from repo_look.look(config)
    try:
        with Engine.connect() as engine:
            yield from _engine_checks(engine, config, state, existing)
    except BoxBroke as broke:
        yield Finding("engine", False, str(broke), ENGINE_FIX)


def git_version(git: str | None) -> Finding:
    """Return whether git is there and new enough. `git`: its path, None if it was not found."""
    fix = "install git {}.{} or newer".format(*OLDEST_GIT)
    if git is None:
        return Finding("git", False, "not found", fix)
    line = subprocess.run([git, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    version = re.search(r"(\d+)\.(\d+)", line)
    ok = version is not None and tuple(map(int, version.groups())) >= OLDEST_GIT
    return Finding("git", ok, line, "" if ok else fix)


def room(place: Path, name: str) -> Iterator[Finding]:
    """Yield whether there is enough of disk and inodes where `place` lies."""
    free_mb = shutil.disk_usage(place).free >> 20
    enough = free_mb >= DISK_FREE_MIN_MB
    fix = "" if enough else f"at least {DISK_FREE_MIN_MB} MB are needed"
    yield Finding(f"disk ({name})", enough, f"{free_mb} MB free on {place}", fix)
    stat = os.statvfs(place)
    if stat.f_files:  # 0 where inodes are not counted (btrfs)
        enough = stat.f_favail >= INODES_FREE_MIN
        fix = f"at least {INODES_FREE_MIN} are needed: remove small files, or choose another file system"
        detail = f"{stat.f_favail} free on {place}"
        yield Finding(f"inodes ({name})", enough, detail, "" if enough else fix)


def configuration(file: Path | None) -> tuple[Config | None, Finding]:
    """Return the configuration and every problem of it, those of the files that it names included."""
    if file is None or not file.is_file():
        return None, Finding("config", False, "no harness.toml here or above", "`harness init` writes one")
    loaded = configs.load(file, NEEDS)
    problems = loaded if isinstance(loaded, list) else configs.check_files(loaded, file.name)
    if problems:
        return None, Finding("config", False, "\n".join(map(str, problems)), f"mend {file}")
    assert isinstance(loaded, Config)
    counts = f"{len(loaded.tasks)} tasks, {len(loaded.suites)} suites, {len(loaded.agents)} kinds of agents"
    return loaded, Finding("config", True, f"{file}: {counts}")


def _engine_checks(
    engine: Engine, config: Config | None, state: StateDirectory, existing: Path
) -> Iterator[Finding]:
    yield Finding("engine", True, f"Docker {engine.version()}")
    facts = ImageEngine(engine).facts()
    driver, total_mb = str(facts.get("Driver")), int(facts.get("MemTotal", 0)) >> 20
    is_slow = driver in SLOW_STORAGE
    fix = "use overlay2: each sandbox copies its whole image now" if is_slow else ""
    yield Finding("storage", not is_slow, driver, fix)
    enough = total_mb >= ENGINE_MEMORY_MIN_MB
    fix = "" if enough else f"at least {ENGINE_MEMORY_MIN_MB} MB are needed"
    yield Finding("memory", enough, f"{total_mb} MB on the engine", fix)
    at = Path(str(facts.get("DockerRootDir")))
    if at.is_dir():
        yield from room(at, "engine")
    images = Images(engine)
    yield from _images(images, config)
    if config is not None:
        yield from _agents(engine, images, config, state, existing)


def _images(images: Images, config: Config | None) -> Iterator[Finding]:
    for order in _orders(config):
        if order.environment is not None:
            detail = "made by `harness up` from the files of main that the environment names"
            yield Finding(f"image {order}", True, detail)
            continue
        is_here = images.is_here(order)
        detail, fix = ("there", "") if is_here else ("missing", _image_fix(order))
        yield Finding(f"image {order}", is_here, detail, fix)


def _orders(config: Config | None) -> list[Order]:
    """Return every image that a run of this configuration needs, once."""
    if config is None:
        return [Order(kind) for kind in SANDBOXES]
    agents = [spec for spec in config.agents.values() if spec.count]
    orders = [KINDS[spec.kind].image_order(spec.image, spec.environment) for spec in agents]
    for suite in config.suites.values():
        orders += suite_orders(suite)
    return list(dict.fromkeys(orders))


def _image_fix(order: Order) -> str:
    if order.users:
        return f"build or pull {order.users}"
    return "`harness images` makes it; so does the first `harness up`"


def _agents(
    engine: Engine, images: Images, config: Config, state: StateDirectory, existing: Path
) -> Iterator[Finding]:
    """Yield whether each kind of agent could start: its program in its image, its files in the project."""
    checks = Preflight(engine, run=state.label, state=existing, root=config.root)
    for spec in config.agents.values():
        order = KINDS[spec.kind].image_order(spec.image, spec.environment)
        if spec.count and order.environment is None and images.is_here(order):
            problem = checks.problem(Seat(f"{spec.name}-1", spec), images.deliver(order))
            detail = problem or f"{spec.kind}, {spec.count} of them"
            fix = "see its table in harness.toml" if problem else ""
            yield Finding(f"agents.{spec.name}", problem is None, detail, fix)
