"""What a change may hold and touch, asked of git and answered as a refusal: the same words at the gate and
before it.
"""

from collections.abc import Sequence

from mcp_server.core import landing
from mcp_server.core.lease import Lease
from mcp_server.core.refusal import Code, Refused
from mcp_server.core.task import Task
from mcp_server.repos.repository import Repository
from mcp_server.repos.trees import Change, HazardKind
from mcp_server.world import World


def refusal(
    world: World, repo: Repository, lease: Lease, task: Task, changes: Sequence[Change], tree: str
) -> Refused | None:
    """Of a change whose result is `tree`; `repo` is the lease's, or a quarantine beside it."""
    protected = tuple(
        glob for name in world.suites_of(lease.repo) for glob in world.config.suites[name].protect
    )
    return _hazard(repo, changes, tree) or landing.boundary(
        [change.path for change in changes], lease.paths, protected, task.module
    )


def _hazard(repo: Repository, changes: Sequence[Change], tree: str) -> Refused | None:
    found = repo.hazards(changes, tree)
    if not found:
        return None
    code = (
        Code.TOO_LARGE
        if all(hazard.kind is HazardKind.TOO_LARGE for hazard in found)
        else Code.PROTECTED_PATH
    )
    named = landing.some(f"{hazard.path} ({hazard.kind})" for hazard in found)
    return Refused(
        code,
        f"the change holds what no landing may: {named}",
        "main is unchanged",
        "take it out of your commits and push again",
    )
