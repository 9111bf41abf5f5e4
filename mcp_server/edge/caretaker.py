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
    """Look after the repositories until cancelled."""
    while True:
        await _look_once(world)
        await asyncio.sleep(LOOK_S)


async def _look_once(world: World) -> None:
    """Run upkeep in a thread that dies with the process; return or raise as it does."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def look() -> None:
        failed: Exception | None = None
        try:
            upkeep.run(world)
        except Exception as wrong:  # noqa: BLE001 - raised by whoever waits
            failed = wrong
        with suppress(RuntimeError):  # the server has stopped meanwhile
            loop.call_soon_threadsafe(end, failed)

    def end(failed: Exception | None) -> None:
        if ended.done():  # whoever waited was cancelled
            return
        if failed is None:
            ended.set_result(None)
        else:
            ended.set_exception(failed)

    threading.Thread(target=look, name="upkeep", daemon=True).start()
    await ended
