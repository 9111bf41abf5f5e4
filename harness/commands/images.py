"""`harness images [IMAGE...]`: the images; made when missing, otherwise untouched."""

from typing import Annotated

import typer

from harness.agents.kinds import PROGRAMS
from harness.boxes.containers import Engine
from harness.images.stock import HOSTED, SANDBOXES, Images, silent

AGENTS = tuple(kind.image for kind in PROGRAMS.values())


def images(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[IMAGE]...",
            help=f"Default: {' '.join(SANDBOXES)}. Also: {' '.join((*AGENTS, *HOSTED))}.",
        ),
    ] = None,
    *,
    agents: Annotated[
        bool, typer.Option("--agents", help="Besides, the images of all vendors' programs.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove images that the present sources do not lead to.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say only what takes long.")] = False,
) -> None:
    """Make those of the images that are missing, and name them all.

    What compose.yaml uses, server and runner, gets the name `:latest` too.
    """
    with Engine.connect() as engine:
        stock = Images(engine, say=_say)
        for name in dict.fromkeys([*(names or SANDBOXES), *(AGENTS if agents else ())]):
            made = stock.publish(name) if name in HOSTED else stock.ensure(name)
            (silent if quiet else _say)(made)
        if prune:
            for removed in stock.prune():
                _say(f"removed {removed}")


def _say(line: str) -> None:
    print(line, flush=True)
