"""The bell: rings when something changed, so that a waiting call looks again. It carries no data and may ring
for nothing.
"""

import asyncio


class Bell:
    """May be rung from any thread; is waited for on the loop that it was made on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rung = asyncio.Event()

    def ring(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._rung.set()
        self._rung = asyncio.Event()

    def listen(self) -> asyncio.Event:
        """Return the next ring. Take it before looking at the state, so that no ring in between is missed."""
        return self._rung

    @staticmethod
    async def wait_for(ring: asyncio.Event, timeout_s: float) -> bool:
        """Wait for `ring`; return False if it did not come within `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await ring.wait()
                return True
        except TimeoutError:
            return False
