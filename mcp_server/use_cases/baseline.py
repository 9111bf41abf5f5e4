"""Main's outcomes: which cases of a suite pass on a commit that is main. The ratchet measures against them."""

from mcp_server.store import Tx
from mcp_server.store import jobs as rows
from mcp_server.world import World


def known(world: World, suite: str, commit: str) -> dict[str, str] | None:
    """Outcomes of `suite` on `commit`, or None where it has not been measured."""
    with world.store.read() as tx:
        return in_tx(world, tx, suite, commit)


def in_tx(world: World, tx: Tx, suite: str, commit: str) -> dict[str, str] | None:
    return rows.baseline(tx, world.config.suites[suite].key(), commit)


def put(world: World, tx: Tx, suite: str, commit: str, outcomes: dict[str, str]) -> None:
    rows.put_baseline(tx, world.config.suites[suite].key(), commit, outcomes)


def of_main(world: World, suite: str) -> dict[str, str]:
    """Outcomes on the present main; empty where it has not been measured yet."""
    return known(world, suite, world.main(world.config.suites[suite].repo)) or {}
