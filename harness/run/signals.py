"""Owns what Ctrl-C and SIGTERM mean to a run: an end in good order.

Rule: before the watch begins the signal interrupts whatever runs (an image build takes minutes); from then on
it only sets an event, so that no salvage is cut in half.
"""

import signal
import threading
from types import FrameType

from harness.failure import Interrupted


class StopSignal:
    """Installed `with` in the main thread; `event` is set by the first signal."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._abrupt = True
        self._former: dict[int, object] = {}

    def __enter__(self) -> "StopSignal":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._former[number] = signal.signal(number, self._told)
        return self

    def __exit__(self, *_: object) -> None:
        for number, former in self._former.items():
            signal.signal(number, former)

    def from_now_in_order(self) -> None:
        """From here on a signal only sets the event."""
        self._abrupt = False

    def _told(self, number: int, frame: FrameType | None) -> None:
        first = not self.event.is_set()
        self.event.set()
        if self._abrupt and first:
            raise Interrupted(signal.Signals(number).name)
