"""How the user sees main: after each landing their own repository has it as refs/remotes/harness/<branch>."""

import logging

from mcp_server.repos.process import GitFailed
from mcp_server.world import World

log = logging.getLogger(__name__)


def show_main(world: World, repo: str) -> None:
    """Write main into the user's repository. One that cannot be written (mounted read-only, moved away) costs
    a line in the log and no landing.
    """
    spec = world.config.repos[repo]
    try:
        world.repos[repo].exchange.export_branch(world.config.root / spec.path, spec.branch)
    except GitFailed as failed:
        log.warning("main of %s is not shown in %s: %s", repo, spec.path, failed)
