"""A scripted model for tests: one server that speaks four model APIs and plays a script of steps and faults.

`python -m tests.fake_models --script FILE --port N` runs it by itself; README.md has the format of a script.
"""

from tests.fake_models.script import FOR_EVER, Call, Fault, Script, Step, Usage, load, made
from tests.fake_models.server import FakeModels, Recorded
from tests.fake_models.wire import Cut, Request, Reset, Wire, WireServer

__all__ = [
    "FOR_EVER",
    "Call",
    "Cut",
    "Fault",
    "FakeModels",
    "Recorded",
    "Request",
    "Reset",
    "Script",
    "Step",
    "Usage",
    "Wire",
    "WireServer",
    "load",
    "made",
]
