"""Keeps what is logged over and over from filling the disk: of each line of code, so many records in so many
seconds.

Rule: what is left out is said to be, and counted once the next record of its kind is written.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

RECORDS_MAX = 20  # of one line of the code within WINDOW_S: a traceback has some 4 kB
WINDOW_S = 10.0


@dataclass
class _Window:
    began_s: float
    records: int = 0


class FewRepeats(logging.Filter):
    """For a handler. The kinds are the lines of code that log: nobody outside can make more of them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        super().__init__()
        self._clock = clock
        self._windows: dict[tuple[str, int], _Window] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True if the record is to be written; it may say then what is, or was, left out."""
        now_s = self._clock()
        window = self._windows.setdefault((record.pathname, record.lineno), _Window(now_s))
        if now_s - window.began_s >= WINDOW_S:
            left_out = window.records - RECORDS_MAX
            if left_out > 0:
                _add(record, f"{left_out} of this kind were left out before")
            window.began_s, window.records = now_s, 0
        window.records += 1
        if window.records == RECORDS_MAX:
            _add(record, f"more of this kind are left out for {WINDOW_S:.0f} s")
        return window.records <= RECORDS_MAX


def _add(record: logging.LogRecord, remark: str) -> None:
    record.msg, record.args = f"{record.getMessage()} ({remark})", ()
