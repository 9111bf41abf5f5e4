"""How much is done for a call, counted: Python's instructions in this thread, and those of SQLite's machine.
No clock is asked.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from mcp_server.store import Store


@dataclass
class Work:
    """What C does by itself, such as copying a dictionary, is not in it."""

    python: int = 0
    sqlite: int = 0

    @property
    def total(self) -> int:
        return self.python + self.sqlite


@contextmanager
def counted(store: Store) -> Iterator[Work]:
    """The work of what is run inside, by this thread and on the connections that it uses when it reads or
    writes one at a time.
    """
    work = Work()

    def step() -> int:
        work.sqlite += 1
        return 0

    def instruction(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code is step.__code__:
            return None
        frame.f_trace_opcodes = True
        work.python += event == "opcode"
        return instruction

    drivers = [_driver(store.read()), _driver(store.write())]
    for driver in drivers:
        driver.set_progress_handler(step, 1)
    before = sys.gettrace()
    sys.settrace(instruction)
    try:
        yield work
    finally:
        sys.settrace(before)
        for driver in drivers:
            driver.set_progress_handler(None, 1)


def _driver(opening: Any) -> Any:
    with opening as tx:
        return tx.driver
