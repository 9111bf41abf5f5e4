"""The images that the suites run in, as runners tell of them: one set of ids is in force for each suite, and
every verdict is known by the ids that it was had with.

Rule: a set of ids stays in force while a runner that was heard of lately has it; runners with another one
get no job of that suite. Once none has it, the next one heard of takes its place: what was known of main
counts no more, and every unfinished job becomes one of the new set.
"""

import dataclasses
from collections.abc import Mapping

from mcp_server.store import Tx, meta
from mcp_server.store import jobs as rows
from mcp_server.store.jobs import Job
from mcp_server.world import World

LOST_MS = 30_000  # a runner that was not heard of for so long is gone
ID_CHARS = 19  # of "sha256:..." in a sentence


def load(world: World) -> None:
    """Take up what was in force when the server stopped."""
    with world.store.read() as tx:
        for suite in world.config.suites:
            if image := meta.get(tx, _name(suite)):
                world.images[suite] = image


def hear(world: World, runner: str, images: Mapping[str, str]) -> None:
    """Take note of a runner and of the image ids that it has, by suite; of a suite that it says nothing of it
    has what is in force.
    """
    world.runners[runner] = world.steady_ms()
    world.runner_images[runner] = images
    if not _news(world, runner, images):
        return
    with world.store.write() as tx:
        for suite, image in _news(world, runner, images).items():
            _put_in_force(world, tx, suite, image, runner)
    world.bell.ring()


def unfit(world: World, images: Mapping[str, str]) -> set[str]:
    """Return the suites of which a runner with these images gets no job: others are in force."""
    return {suite for suite, image in images.items() if image != world.images.get(suite, image)}


def live(world: World) -> list[str]:
    """Return the runners that were heard of lately, and forget the others."""
    now_ms = world.steady_ms()
    for runner in [name for name, seen_ms in world.runners.copy().items() if now_ms - seen_ms > LOST_MS]:
        world.runners.pop(runner, None)
        world.runner_images.pop(runner, None)
    return list(world.runners)


def warnings(world: World) -> list[str]:
    """Return a sentence for each runner that gets no job of a suite, because of its images."""
    return [
        f"runner {runner} has other images for suite {suite} ({short(images[suite])}) than the one in force "
        f"({short(world.images[suite])}), so it gets no job of it: give all runners the same images, "
        "by `docker save` and `docker load` or from one registry"
        for runner in sorted(live(world))
        if (images := world.runner_images.get(runner))
        for suite in sorted(unfit(world, images))
    ]


def short(image: str) -> str:
    """Return ids as a person tells them apart."""
    return " ".join(id[:ID_CHARS] for id in image.split())


def _name(suite: str) -> str:
    return f"image {suite}"


def _news(world: World, runner: str, images: Mapping[str, str]) -> dict[str, str]:
    """Return what this runner brings into force."""
    others = [world.runner_images.get(name, {}) for name in live(world) if name != runner]
    news = {}
    for suite in world.config.suites:
        image, in_force = images.get(suite), world.images.get(suite)
        if not image or image == in_force:
            continue
        if in_force is None or all(other.get(suite) != in_force for other in others):
            news[suite] = image
    return news


def _put_in_force(world: World, tx: Tx, suite: str, image: str, runner: str) -> None:
    before = world.images.get(suite)
    meta.put(tx, _name(suite), image)
    for job in rows.unfinished(tx, suite):
        _take_over(tx, job, image)
    world.record(tx, "suite_image", suite=suite, image=image, before=before, runner=runner)
    world.images[suite] = image


def _take_over(tx: Tx, job: Job, image: str) -> None:
    """Make an unfinished job one of another image. What a runner still runs in the old one is not taken."""
    key = rows.with_image(job.key, image)
    rows.retire(tx, key)
    rows.put(tx, dataclasses.replace(job, key=key))
