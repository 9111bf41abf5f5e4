"""What a change may hold and touch, asked of git and answered as a refusal: the same words at the gate and
before it.
"""

from collections.abc import Sequence
from functools import lru_cache

from mcp_server.config import protecting
from mcp_server.core import landing, named_files, paths, tree_size
from mcp_server.core.lease import Lease
from mcp_server.core.protection import Protection
from mcp_server.core.refusal import Code, Refused
from mcp_server.core.task import Task
from mcp_server.repos.objects import Objects
from mcp_server.repos.repository import Repository
from mcp_server.repos.trees import Change, HazardKind
from mcp_server.use_cases.oracle import builds, scopes
from mcp_server.world import World
from oracle.cases.spec import Suite

FILE_BYTES_MAX = 200_000  # read of a script to see what it runs
COMMITS_REMEMBERED = 64


def refusal(
    world: World, objects: Objects, lease: Lease, task: Task, changes: Sequence[Change], tree: str
) -> Refused | None:
    """Return why a change whose result is `tree` may not land, or None.

    `objects` are those of the lease's repository, or of a quarantine beside it.
    """
    suites = [world.config.suites[name] for name in world.suites_of(lease.repo)]
    limits, reads = world.config.repos[lease.repo].size_limits, scopes.read_by_any(world, lease.repo)
    if refusal := (
        _hazard(objects, changes, tree)
        or tree_size.refusal(limits, objects.tree_bytes(tree, reads), objects.grown(changes))
        or _derived(world, objects, suites, changes, tree)
    ):
        return refusal
    protected = tuple(glob for suite in suites for glob in suite.protect)
    changed, steering = [change.path for change in changes], steering_of(world, lease.repo)
    return landing.boundary(changed, lease.paths, protected, task.module, steering=steering)


def steering_of(world: World, repo: str) -> Protection:
    """Return what is protected in a repository because it steers, as main's files say."""
    commands = tuple(protecting.judging_commands(world.config, repo))
    named = _named_files(world.repos[repo], world.main(repo), commands)
    return protecting.of(world.config, repo, named)


@lru_cache(COMMITS_REMEMBERED)
def _named_files(repo: Repository, commit: str, commands: tuple[str, ...]) -> dict[str, str]:
    """Return what the commands run on a commit, as `named_files` does."""

    def read(path: str) -> str | None:
        [content] = repo.objects.read_many([(commit, path)])
        return None if content is None else content[:FILE_BYTES_MAX].decode(errors="replace")

    return named_files.of(commands, read)


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


def _derived(
    world: World, objects: Objects, suites: Sequence[Suite], changes: Sequence[Change], tree: str
) -> Refused | None:
    """Return the refusal of a change that adds or alters what a tool makes of other files; None if it does
    not.
    """
    artifacts = tuple(glob for suite in suites for glob in suite.artifacts)
    judged = [change for change in changes if not paths.covers(artifacts, change.path)]
    built_paths = builds.of_main(world, [suite.name for suite in suites])
    hazards = objects.derived_files(judged, tree, lambda path: builds.makes(built_paths, path))
    if not hazards:
        return None
    named = landing.some(f"{hazard.path} ({hazard.kind})" for hazard in hazards)
    return Refused(
        Code.PROTECTED_PATH,
        f"the change holds what a tool makes of other files: {named}",
        "main is unchanged; what is tested is what a person reads, so caches, compiled code and what the "
        "build makes stay out of commits",
        "git rm -r --cached those paths, commit and push again; if one is data and no output, release the "
        "task as blocked: a person can name it in `artifacts` of an oracle suite",
    )
