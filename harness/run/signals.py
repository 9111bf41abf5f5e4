"""Owns what Ctrl-C and SIGTERM mean to a run: an end in good order.

Rule: before the watch begins the signal interrupts whatever runs (an image build takes minutes); from then on
it only sets an event, so that no salvage is cut in half.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from harness.failure import Interrupted

Former = Callable[[int, FrameType | None], Any] | int | None  # a handler as `signal.signal` returns it


class StopSignal:
    """Installed `with` in the main thread; `event` is set by the first signal."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._abrupt = True
        self._former: dict[int, Former] = {}

    def __enter__(self) -> "StopSignal":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._former[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, former in self._former.items():
            signal.signal(number, former)

    def from_now_in_order(self) -> None:
        """Let a signal only set the event from here on."""
        self._abrupt = False

    def _receive(self, number: int, frame: FrameType | None) -> None:
        first = not self.event.is_set()
        self.event.set()
        if self._abrupt and first:
            raise Interrupted(signal.Signals(number).name)
