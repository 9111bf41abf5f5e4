"""The bell: rings when something changed, so that a waiting call looks again. It carries no data and may ring
for nothing.
"""

import asyncio


class Bell:
    """Rung from any thread; waited for on the loop it was made on."""

    def __init__(self):
        self._loop = asyncio.get_running_loop()
        self._rung = asyncio.Event()

    def ring(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._rung.set()
        self._rung = asyncio.Event()

    def listen(self) -> asyncio.Event:
        """The next ring. Take it before looking at the state, so that a ring in between is not missed."""
        return self._rung

    @staticmethod
    async def heard(ring: asyncio.Event, timeout_s: float) -> bool:
        """Whether `ring` came within `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await ring.wait()
                return True
        except TimeoutError:
            return False
