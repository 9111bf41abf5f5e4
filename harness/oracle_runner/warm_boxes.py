"""Owns the boxes of one runner: warm ones by image and role, and those that are made for one use.

Rule: a box is kept while it is trusted, and only then.
"""

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator

from harness.boxes.containers import BoxBroke
from harness.oracle_runner.oracle_box import OracleBox

BOXES_MAX = 4  # kept warm by one runner: candidate and reference of two suites


class WarmBoxes:
    """`start` makes a box for an image and a role. One job at a time uses it; `kill_busy` comes from another
    thread.
    """

    def __init__(self, start: Callable[[str, str], OracleBox]) -> None:
        self._start = start
        self._kept: dict[tuple[str, str], OracleBox] = {}
        self._busy: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._started: tuple[str, str] | None = None  # what the last box that did start was for
        self._single: dict[int, OracleBox] = {}  # those for one use, by their number
        self._numbers = itertools.count()

    @contextlib.contextmanager
    def taken(self, image: str, role: str) -> Iterator[OracleBox]:
        """A box for one job; whatever is raised inside costs the box its life."""
        key = (image, role)
        with self._lock:
            box = self._kept.pop(key, None)
        if box is not None and not box.alive():
            _throw_away(box)
            box = None
        box = box or self._start(image, role)
        with self._lock:
            self._kept[key], self._started = box, key
            self._busy.add(key)
        try:
            yield box
        except BaseException:
            with self._lock:
                self._kept.pop(key, None)
            _throw_away(box)
            raise
        finally:
            with self._lock:
                self._busy.discard(key)
        if box.spoilt:
            with self._lock:
                self._kept.pop(key, None)
            _throw_away(box)
        self._evict()

    @contextlib.contextmanager
    def single(self, image: str, role: str) -> Iterator[OracleBox]:
        """Yield a box that nothing was in before, and that nothing is in afterwards."""
        box = self._start(image, role)
        number = next(self._numbers)
        with self._lock:
            self._single[number] = box
        try:
            yield box
        finally:
            with self._lock:
                self._single.pop(number, None)
            _throw_away(box)

    def prove(self) -> None:
        """Starts a box such as the one that started last, if there was one; raises BoxBroke where the engine
        cannot any more.
        """
        if self._started is None:
            return
        box = self._start(*self._started)
        with self._lock:
            before, self._kept[self._started] = self._kept.pop(self._started, None), box
        if before is not None:
            _throw_away(before)

    def _evict(self) -> None:
        with self._lock:
            idle = [key for key in self._kept if key not in self._busy]
            old = [self._kept.pop(key) for key in idle[: max(0, len(self._kept) - BOXES_MAX)]]
        for box in old:
            _throw_away(box)

    def kill_busy(self) -> None:
        """Ends what runs now: whoever waits for it gets BoxBroke."""
        with self._lock:
            busy = [self._kept[key] for key in self._busy if key in self._kept] + list(self._single.values())
        for box in busy:
            with contextlib.suppress(BoxBroke):
                box.kill()

    def close(self) -> None:
        with self._lock:
            boxes, self._kept = list(self._kept.values()), {}
        for box in boxes:
            _throw_away(box)


def _throw_away(box: OracleBox) -> None:
    with contextlib.suppress(BoxBroke):  # what cannot be removed now is found by its label later
        box.remove()
