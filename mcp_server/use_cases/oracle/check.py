"""The teeth of an oracle: a suite is trusted once it has been seen to refuse every planted wrong engine."""

from mcp_server.store import meta
from mcp_server.store.jobs import Job
from mcp_server.use_cases.oracle import case_sets, jobs
from mcp_server.world import World


def ask(world: World, suite: str) -> Job:
    """Return the check of `suite` as it and its cases are now: done already, under way or new."""
    commit = world.main(world.config.suites[suite].repo)
    return jobs.request(world, jobs.JobRequest(suite, commit, jobs.CHECK, kind=jobs.TEETH))


def is_checked(world: World, suite: str) -> bool:
    """Return True if the suite has been seen to refuse every planted engine, as it is now."""
    cases_key = case_sets.key(world, suite, world.main(world.config.suites[suite].repo))
    suite_key = case_sets.with_image(world, suite, cases_key)
    with world.store.read() as tx:
        return meta.get(tx, jobs.checked_name(suite_key)) is not None
