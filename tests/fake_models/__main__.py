"""`python -m tests.fake_models --script FILE --port N`: serves until Ctrl-C, one JSON line per request on
stdout.
"""

import argparse
import json
import sys
import threading
from contextlib import suppress
from pathlib import Path

from tests.fake_models.script import Script, load
from tests.fake_models.server import FakeModels, Recorded


def main() -> int:
    options = argparse.ArgumentParser(
        prog="python -m tests.fake_models", description="A scripted model that speaks four APIs."
    )
    options.add_argument(
        "--script",
        type=Path,
        help="JSON or TOML, see README.md; without it everything is answered with one text",
    )
    options.add_argument("--port", type=int, default=0, help="0 chooses a free one")
    options.add_argument("--bodies", type=Path, help="a directory for the bodies of all requests")
    chosen = options.parse_args()
    try:
        scripts = load(chosen.script) if chosen.script else [Script()]
    except (OSError, ValueError, TypeError) as wrong:
        print(f"{chosen.script}: {wrong}", file=sys.stderr)
        return 2
    if chosen.bodies:
        chosen.bodies.mkdir(parents=True, exist_ok=True)
    with FakeModels(scripts, chosen.port, keep_bytes=False) as models:
        models.on_request = lambda recorded: tell(recorded, len(models.requests), chosen.bodies)
        print(json.dumps({"url": models.url}), flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
    return 0


def tell(recorded: Recorded, number: int, bodies: Path | None) -> None:
    asked, turn = recorded.asked, recorded.turn
    told = {
        "n": number,
        "method": recorded.request.method,
        "target": recorded.request.target,
        "answered": recorded.answered,
        "finished": recorded.finished,
    }
    if asked is not None and turn is not None:
        calls = [call.input or {call.tool.name: call.args} for call in turn.calls]
        told |= {
            "api": asked.api,
            "model": asked.model,
            "step": asked.step,
            "stream": asked.stream,
            "text": turn.text[:200],
            "calls": calls,
        }
    if bodies is not None:
        (bodies / f"{number:04}.json").write_bytes(recorded.request.body)
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    sys.exit(main())
