"""The last few answers about objects, which never change: a landing asks for the same tree at several of
its steps.

Rule: what is kept is bounded in number and in size, since an agent chooses how large an answer is.
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """At most `count` values, none of a size over `size_max`; the one that was asked for longest ago goes
    first.
    """

    def __init__(self, count: int, size_max: int):
        self._count, self._size_max = count, size_max
        self._kept: OrderedDict[Hashable, Value] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, key: Hashable) -> bool:
        return self.get(key) is not None

    def get(self, key: Hashable) -> Value | None:
        """Return the value that is kept under the key, or None."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def keep(self, key: Hashable, value: Value, *, size: int = 1) -> None:
        """Keep the value, if it is not too large."""
        if size > self._size_max:
            return
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > self._count:
                self._kept.popitem(last=False)
