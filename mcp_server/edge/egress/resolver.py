"""Owns the look-up of names, in threads that nothing else uses.

Rule: a name is looked up once for all who wait for it. So a name whose DNS is silent holds one thread of
ours, and only those wait who asked for it.
"""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

THREADS_MAX = 32  # names at once; only those get here that [egress] allows

LookUp = Callable[[str, int], list[Any]]


def _system(host: str, port: int) -> list[Any]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Resolver:
    """The system's resolver, or `look_up` in its place, used in one event loop."""

    def __init__(self, look_up: LookUp = _system):
        self._look_up = look_up
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="resolver")
        self._under_way: dict[tuple[str, int], asyncio.Future[list[Any]]] = {}

    async def __call__(self, host: str, port: int) -> list[str]:
        """Return the addresses of a name, each once, in the resolver's order. Raise OSError."""
        place = host, port
        if place not in self._under_way:
            loop = asyncio.get_running_loop()
            asking = loop.run_in_executor(self._threads, self._look_up, host, port)
            asking.add_done_callback(lambda done: self._end(place, done))
            self._under_way[place] = asking
        found = await asyncio.shield(self._under_way[place])
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    def _end(self, place: tuple[str, int], done: asyncio.Future[list[Any]]) -> None:
        del self._under_way[place]
        if not done.cancelled():
            done.exception()  # seen, though everybody who asked may have gone
