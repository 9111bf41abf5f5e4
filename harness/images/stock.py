"""Owns having the images: finds each by its name on the engine, and makes the missing ones.

Rule: an image that has its name is never built again, and nothing is said or done when none is missing.
"""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from harness.boxes.containers import Engine
from harness.images import environments
from harness.images.build_host import BuildHost
from harness.images.environments import Start
from harness.images.image_engine import ImageEngine, ImageFailed
from harness.images.image_source import DEBIAN, HASH_DIGITS, ImageSource, tar_of
from harness.images.recipes import OURS, ROOT, BadRecipe
from mcp_server.wire.environments import EnvironmentOrder
from oracle.cases.spec import Suite
from oracle.suites import kinds
from oracle.suites.kinds import CANDIDATE

PULLED_ROOT = f"debian:{DEBIAN}-slim"
LABEL = "harness.image"
SETUP_STEP = "+ "  # what the shell prints before each command of a set-up
SANDBOXES = ("base", "scripted", "oracle-candidate", "oracle-reference")
HOSTED = ("server", "runner")
BOOTSTRAP_S_MAX = 900
BUILD_LOCK = f"harness-images-{os.getuid()}.lock"


@dataclass(frozen=True)
class Order:
    """An image that somebody needs: one of ours with Debian packages on top, or the user's own."""

    kind: str = ""
    packages: tuple[str, ...] = ()
    users: str | None = None
    environment: str | None = None  # what is below it, by the name of its table

    def __str__(self) -> str:
        on = f" on environment {self.environment}" if self.environment else ""
        return self.users or " + ".join([self.kind, *self.packages]) + on


def suite_order(suite: Suite, role: str) -> Order:
    """Return the order for the suite's `candidate` or its `reference`."""
    if role == CANDIDATE and suite.image:
        return Order(users=suite.image)
    return Order(*kinds.image(suite, role), environment=suite.environment if role == CANDIDATE else None)


def suite_orders(suite: Suite) -> list[Order]:
    """Return the orders for all that a run of the suite needs."""
    return [suite_order(suite, role) for role in kinds.roles(suite)]


def silent(line: str) -> None:
    """Say nothing."""


class Images:
    """The images of one engine. `say` is told what takes long."""

    def __init__(
        self, engine: Engine, *, say: Callable[[str], None] = silent, source: ImageSource | None = None
    ) -> None:
        self._engine = ImageEngine(engine)
        self._say = say
        self._source = source or ImageSource()
        self._host: BuildHost | None = None

    def ensure(self, kind: str, packages: Iterable[str] = (), *, bottom: str | None = None) -> str:
        """Make the image if it is missing, and return its name; raise ImageFailed if that cannot be done.
        `bottom`: the image below everything, instead of the root.
        """
        on_top = tuple(packages)
        try:
            name = self._source.name(kind, on_top, bottom=bottom)
        except BadRecipe as bad:
            raise ImageFailed(str(bad)) from bad
        if self._engine.exists(name):
            return name
        with FileLock(Path(tempfile.gettempdir()) / BUILD_LOCK):
            self._make(kind, on_top, bottom=bottom)
        return name

    def image_for(self, suite: Suite, role: str) -> str:
        """Return the id of the image, made or pulled if it is missing. A name may stand for another image
        tomorrow: what a verdict is worth hangs on the id.
        """
        name = self.deliver(suite_order(suite, role))
        return self._engine.id(name) or name

    def image_on(self, suite: Suite, environment: EnvironmentOrder) -> str:
        """Return the id of the image of the box of a suite's candidate on its environment, made if it is
        missing.
        """
        name = self.deliver(suite_order(suite, CANDIDATE), environment)
        return self._engine.id(name) or name

    def deliver(self, order: Order, environment: EnvironmentOrder | None = None) -> str:
        """Make or pull the ordered image if it is missing, and return its name."""
        if order.users is None:
            is_on_it = order.environment is not None and environment is not None
            bottom = self.environment(environment) if is_on_it and environment else None
            return self.ensure(order.kind, order.packages, bottom=bottom)
        self._pull_missing(order.users)
        return order.users

    def _pull_missing(self, image: str) -> None:
        if not self._engine.exists(image):
            self._say(f"image {image}: pulling")
            has_tag = ":" in image.rpartition("/")[2]
            self._engine.pull(image if has_tag else f"{image}:latest")

    def environment(self, order: EnvironmentOrder) -> str:
        """Make the image of an environment if it is missing, and return its name; raise ImageFailed if that
        cannot be done, with the last lines of what its set-up printed.
        """
        try:
            start = environments.start_of(order)
            name = self._environment_name(order, self._base_name(order, start))
            if name is not None and self._engine.exists(name):
                return name
            with FileLock(Path(tempfile.gettempdir()) / BUILD_LOCK):
                return self._make_environment(order, start, self._environment_base(order, start))
        except BadRecipe as bad:
            raise ImageFailed(str(bad)) from bad
        except ImageFailed as failed:
            raise type(failed)(f"environment {order.name} cannot be made: {failed}") from failed

    def _base_name(self, order: EnvironmentOrder, start: Start) -> str:
        """Return the name of the image that an environment starts from."""
        if start.build is None:
            return start.image or self._source.name(ROOT)
        build = start.build
        digest = environments.digest(order, str(sorted(build.args.items())), str(build.target))
        return f"{OURS}{environments.BASE_KIND}:{digest[:HASH_DIGITS]}"

    def _environment_name(self, order: EnvironmentOrder, base: str) -> str | None:
        """Return the name of an environment's image on this base; None while the base is not there."""
        base_id = self._engine.id(base)
        if base_id is None:
            return None
        digest = environments.digest(order, self._source.name(environments.KIND), base_id)
        return f"{OURS}{environments.KIND}:{digest[:HASH_DIGITS]}"

    def _environment_base(self, order: EnvironmentOrder, start: Start) -> str:
        """Return the image that an environment starts from, made or pulled if it is missing."""
        name = self._base_name(order, start)
        if start.build is not None and not self._engine.exists(name):
            self._say(f"environment {order.name}: building {start.build.dockerfile}")
            self._engine.build(
                tar_of({file.path: (file.content, file.executable) for file in order.files}),
                name,
                dockerfile=start.build.dockerfile,
                args={**self._build_host().args, **start.build.args},
                labels={LABEL: environments.BASE_KIND},
                target=start.build.target,
            )
        elif start.image is not None:
            self._pull_missing(start.image)
        elif start.build is None:
            self._make(ROOT)
        return name

    def _make_environment(self, order: EnvironmentOrder, start: Start, base: str) -> str:
        kind, recipe = environments.KIND, self._source.recipe(environments.KIND)
        name = self._environment_name(order, base)
        assert name is not None, f"{base} was made a moment ago"
        if self._engine.exists(name):
            return name
        self._say(f"environment {order.name}: building; the first time this takes as long as its set-up does")
        host = self._build_host()
        template = (self._source.root / recipe.dockerfile).read_text()
        text = environments.dockerfile_text(template, {**(start.env or {}), **order.env})
        own = environments.context_files(order, (*start.setup, *order.setup))
        added = {file.path: (file.content, file.executable) for file in own}
        context = self._source.context(
            kind, host.certificates, {**added, recipe.dockerfile: (text.encode(), False)}
        )
        packages = " ".join(sorted(set(order.packages)))
        args = self._source.declared(kind, {**host.args, "BASE": base, "PACKAGES": packages})
        self._engine.build(
            context, name, dockerfile=recipe.dockerfile, args=args, labels={LABEL: kind}, say=self._say_step
        )
        return name

    def _say_step(self, line: str) -> None:
        if line.startswith(SETUP_STEP):
            self._say(f"  set-up: {line.removeprefix(SETUP_STEP).rstrip()}")

    def is_here(self, order: Order) -> bool:
        return self._engine.exists(order.users or self._source.name(order.kind, order.packages))

    def registry_answers(self) -> bool:
        return self._engine.registry_has(PULLED_ROOT)

    def publish(self, kind: str) -> str:
        """Make the image, and name it `:latest` too, which is what compose.yaml knows it by. Return that
        name.
        """
        self._engine.tag(self.ensure(kind), f"{OURS}{kind}:latest")
        return f"{OURS}{kind}:latest"

    def prune(self) -> list[str]:
        """Remove the names that no present source leads to, and return them; a suite's own set of packages
        is made again when needed.
        """
        kept = {self._source.name(kind) for kind in (*self._source.recipes, ROOT)}
        kept |= {f"{OURS}{kind}:latest" for kind in HOSTED}
        return [name for name in self._engine.names(OURS) if name not in kept and self._engine.remove(name)]

    def _make(self, kind: str, packages: tuple[str, ...] = (), *, bottom: str | None = None) -> str:
        """Build an image on top of what it needs, unless another process has done so meanwhile. Return its
        name.
        """
        name = self._source.name(kind, packages, bottom=bottom)
        if self._engine.exists(name):
            return name
        if kind == ROOT:
            self._make_root(name)
            return name
        below = self._source.recipe(kind).below
        base = bottom if bottom is not None and below == ROOT else self._make(below, bottom=bottom)
        self._say(f"image {' + '.join([kind, *packages])}: building")
        host = self._build_host()
        ours = {"ROOTFS": self._source.name(ROOT), "BASE": base, "PACKAGES": " ".join(sorted(set(packages)))}
        args = self._source.declared(kind, {**host.args, **ours})
        context = self._source.context(kind, host.certificates)
        self._engine.build(
            context, name, dockerfile=self._source.recipe(kind).dockerfile, args=args, labels={LABEL: kind}
        )
        return name

    def _make_root(self, name: str) -> None:
        """Take an ordinary base image where one can be had, or else make a root file system of the
        distribution's packages.
        """
        if not self._engine.exists(PULLED_ROOT) and self._engine.registry_has(PULLED_ROOT):
            self._say(f"image {ROOT}: pulling {PULLED_ROOT}")
            self._engine.pull(PULLED_ROOT)
        if self._engine.exists(PULLED_ROOT):
            self._engine.tag(PULLED_ROOT, name)
            return
        self._say(f"image {ROOT}: no image registry answers; bootstrapping Debian {DEBIAN} from its packages")
        with tempfile.TemporaryDirectory(prefix="harness-rootfs-") as scratch:
            tar = Path(scratch) / "root.tar"
            self._bootstrap(tar)
            self._engine.import_tar(tar, name)

    def _bootstrap(self, tar: Path) -> None:
        script = self._source.root / "images/rootfs/build"
        mirror = self._build_host().args.get("DEBIAN_MIRROR")
        environ = {**os.environ, **({"DEBIAN_MIRROR": mirror} if mirror else {})}
        try:
            subprocess.run(
                [str(script), DEBIAN, str(tar)],
                env=environ,
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=BOOTSTRAP_S_MAX,
            )
        except subprocess.CalledProcessError as error:
            raise ImageFailed(f"image {ROOT}: {script} failed:\n{error.stdout.strip()}") from error
        except subprocess.TimeoutExpired as error:
            raise ImageFailed(f"image {ROOT}: {script} took longer than {BOOTSTRAP_S_MAX} s") from error

    def _build_host(self) -> BuildHost:
        if self._host is None:
            self._host = BuildHost.of(os.environ)
        return self._host
