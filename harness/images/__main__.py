"""`python -m harness.images [KIND...]`: makes the images that are missing."""

import argparse
import sys

from harness.boxes.containers import BoxBroke, Engine
from harness.failure import Exit
from harness.images.stock import HOSTED, SANDBOXES, Images, silent


def main() -> int:
    """Make the images that are missing; server and runner get the name `:latest` too."""
    options = argparse.ArgumentParser(prog="python -m harness.images", description=main.__doc__)
    options.add_argument(
        "kinds", nargs="*", default=list(SANDBOXES), metavar="KIND", help=f"default: {' '.join(SANDBOXES)}"
    )
    options.add_argument(
        "--prune", action="store_true", help="then remove images that no present source leads to"
    )
    options.add_argument(
        "--registry", action="store_true", help="only tell, by the exit status, whether a registry answers"
    )
    options.add_argument("--quiet", action="store_true", help="say only what takes long")
    chosen = options.parse_args()
    try:
        with Engine.connect() as engine:
            images = Images(engine, say=_tell)
            if chosen.registry:
                return 0 if images.registry_answers() else 1
            for kind in chosen.kinds:
                name = images.publish(kind) if kind in HOSTED else images.ensure(kind)
                (silent if chosen.quiet else _tell)(name)
            for name in images.prune() if chosen.prune else ():
                _tell(f"removed {name}")
    except BoxBroke as error:
        print(f"harness: {error}", file=sys.stderr)
        return Exit.INFRASTRUCTURE
    return 0


def _tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
