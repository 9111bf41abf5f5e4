"""Owns the options that most verbs share: which configuration, which state directory, and JSON for its
output.

Rule: the global options stand before the verb; what a verb's own options say goes over them.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from harness.run.place import Place

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="F", help="The harness.toml; default: looked for here and above."),
]
StateOption = Annotated[
    Path | None,
    typer.Option("--state", metavar="D", help="The state directory; default: .harness beside harness.toml."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def place(context: typer.Context, config: Path | None = None, state: Path | None = None) -> Place:
    """Return the place that the global options name, with what the verb's own options say on top."""
    general = context.find_root().obj
    assert isinstance(general, Place)
    return replace(general, config=config or general.config, state=state or general.state)
