"""What a change may hold and touch, asked of git and answered as a refusal: the same words at the gate and
before it.
"""

from collections.abc import Sequence

from mcp_server.core import landing
from mcp_server.core.lease import Lease
from mcp_server.core.refusal import Code, Refused
from mcp_server.core.task import Task
from mcp_server.repos.objects import Objects
from mcp_server.repos.trees import Change, HazardKind
from mcp_server.world import World


def refusal(
    world: World, objects: Objects, lease: Lease, task: Task, changes: Sequence[Change], tree: str
) -> Refused | None:
    """Return why a change whose result is `tree` may not land, or None.

    `objects` are those of the lease's repository, or of a quarantine beside it.
    """
    if refusal := _hazard(objects, changes, tree):
        return refusal
    suites = [world.config.suites[name] for name in world.suites_of(lease.repo)]
    protected = tuple(glob for suite in suites for glob in suite.protect)
    return landing.boundary([change.path for change in changes], lease.paths, protected, task.module)


def _hazard(objects: Objects, changes: Sequence[Change], tree: str) -> Refused | None:
    """Return the refusal of a change that holds what no landing may; None if it does not."""
    hazards = objects.hazards(changes, tree)
    if not hazards:
        return None
    is_size = all(hazard.kind is HazardKind.TOO_LARGE for hazard in hazards)
    named = landing.some(f"{hazard.path} ({hazard.kind})" for hazard in hazards)
    return Refused(
        Code.TOO_LARGE if is_size else Code.PROTECTED_PATH,
        f"the change holds what no landing may: {named}",
        "main is unchanged",
        "take it out of your commits and push again",
    )
