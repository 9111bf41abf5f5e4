"""`harness images`: the sandbox images; made when missing, otherwise untouched."""

from typing import Annotated

import typer

from harness.containers import Engine
from harness.images import SANDBOXES, Images


def images(
    prune: Annotated[bool, typer.Option("--prune", help="Remove images that the present sources do not lead to.")] = False,
) -> None:
    """Make the sandbox images that are missing, and name them all."""
    with Engine.connect() as engine:
        store = Images(engine, say=print)
        for kind in SANDBOXES:
            print(store.ensure(kind))
        if prune:
            for name in store.prune():
                print(f"removed {name}")
