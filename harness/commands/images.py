"""`harness images [KIND...]`: the sandbox images; made when missing, otherwise untouched."""

from typing import Annotated

import typer

from harness.boxes.containers import Engine
from harness.images.image_source import NPM_AGENTS
from harness.images.stock import SANDBOXES, Images


def images(
    kinds: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KIND]...", help=f"Default: {' '.join(SANDBOXES)}. Also: {' '.join(NPM_AGENTS)}."
        ),
    ] = None,
    *,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove images that the present sources do not lead to.")
    ] = False,
) -> None:
    """Make those of the images that are missing, and name them all."""
    with Engine.connect() as engine:
        store = Images(engine, say=print)
        for kind in kinds or SANDBOXES:
            print(store.ensure(kind))
        if prune:
            for name in store.prune():
                print(f"removed {name}")
