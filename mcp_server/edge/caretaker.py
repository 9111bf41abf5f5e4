"""The loop that looks after the repositories while the server serves.

Rule: it works in a thread that nobody waits for. Git may be at it for minutes, and dies with the server (see
git_settings.UNHURRIED).
"""

import asyncio
import threading
from contextlib import suppress

from mcp_server.use_cases.landing import upkeep
from mcp_server.world import World

LOOK_S = 30.0  # looking costs some milliseconds; what gathers in between slows nobody down


async def run(world: World) -> None:
    """Until cancelled."""
    while True:
        await _unhurried(world)
        await asyncio.sleep(LOOK_S)


async def _unhurried(world: World) -> None:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def look() -> None:
        try:
            upkeep.run(world)
        except Exception as failed:  # noqa: BLE001 - told to whoever waits
            told = failed
            tell(lambda: ended.done() or ended.set_exception(told))
        else:
            tell(lambda: ended.done() or ended.set_result(None))

    def tell(what) -> None:
        with suppress(RuntimeError):  # the server has stopped meanwhile
            loop.call_soon_threadsafe(what)

    threading.Thread(target=look, name="upkeep", daemon=True).start()
    await ended
