"""Owns the routes of oracle jobs: what runners claim, fetch and hand in, and which runs are asked for."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mcp_server.edge.json_api import (
    PEOPLE,
    WAIT_S_MAX,
    Answer,
    ApiRoute,
    BadRequest,
    check_cases,
    done,
    number,
    read,
    starlette_routes,
    suites_of,
)
from mcp_server.use_cases import status
from mcp_server.use_cases.oracle import check as oracle_check
from mcp_server.use_cases.oracle import environments, fresh, verdicts
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.wire.jobs import (
    JobClaim,
    JobRenewal,
    JobResult,
    OracleCheckJob,
    OracleRunJobs,
    OracleRunRequest,
    RunnerSuites,
)
from mcp_server.world import World

TAR = "application/x-tar"


class RunnerApi:
    """The routes below /api/jobs and /api/oracle."""

    def __init__(self, world: World):
        self._world = world

    def routes(self) -> list[Route]:
        """Return the routes to mount."""
        return starlette_routes(
            [
                ApiRoute("POST", "/api/jobs/claim", self.claim),
                ApiRoute("GET", "/api/jobs/{id}", self.job),
                ApiRoute("POST", "/api/jobs/{id}/renew", self.renew),
                ApiRoute("GET", "/api/jobs/{id}/tree.tar", self.tree),
                ApiRoute("GET", "/api/jobs/{id}/reference.tar", self.reference_files),
                ApiRoute("POST", "/api/jobs/{id}/result", self.finish),
                ApiRoute("GET", "/api/oracle/suites", self.suites),
                ApiRoute("GET", "/api/environments/{name}", self.environment),
                ApiRoute("POST", "/api/oracle/run", self.run, PEOPLE),
                ApiRoute("POST", "/api/oracle/check", self.check),
            ]
        )

    async def claim(self, request: Request) -> Answer:
        """Answer with the next job order: at once, or as soon as there is one within `wait_s`."""
        claim = await read(request, JobClaim)
        loop = asyncio.get_running_loop()
        until = loop.time() + min(claim.wait_s, WAIT_S_MAX)
        while True:
            ring = self._world.bell.listen()
            job_order = await asyncio.to_thread(oracle_jobs.claim, self._world, claim.runner, claim.images)
            left_s = until - loop.time()
            if job_order is not None or left_s <= 0:
                return job_order
            await self._world.bell.wait_for(ring, left_s)

    async def suites(self, request: Request) -> Answer:
        """Answer with every suite, so that a runner can say which images it has for each."""
        keys = await asyncio.to_thread(environments.keys, self._world)
        return RunnerSuites(suites=tuple(self._world.config.suites.values()), environments=keys)

    async def environment(self, request: Request) -> Answer:
        """Answer with all that the image of an environment is made of, as main is now."""
        name = request.path_params["name"]
        if name not in self._world.config.environments:
            raise BadRequest(404, "unknown_environment", f"there is no environment {name!r}")
        return await asyncio.to_thread(environments.now, self._world, name)

    async def renew(self, request: Request) -> Answer:
        """Keep a job for its runner, or say that it is lost."""
        renewal, job = await read(request, JobRenewal), number(request)
        if not await asyncio.to_thread(oracle_jobs.renew, self._world, job, renewal.runner):
            raise BadRequest(
                409,
                "job_lost",
                f"job {job} is not {renewal.runner}'s any more: stop it",
            )
        return done()

    async def tree(self, request: Request) -> Answer:
        """Answer with the candidate's files as a tar."""
        return self._tar(request, await asyncio.to_thread(oracle_jobs.tree, self._world, number(request)))

    async def reference_files(self, request: Request) -> Answer:
        """Answer with the files of main that reference and comparator read, as a tar."""
        tar = await asyncio.to_thread(oracle_jobs.reference_files, self._world, number(request))
        return self._tar(request, tar)

    @staticmethod
    def _tar(request: Request, tar: bytes | None) -> Response:
        if tar is None:
            raise _unknown_job(number(request))
        return Response(tar, media_type=TAR)

    async def finish(self, request: Request) -> Answer:
        """Take a runner's result, unless the job is not that runner's any more."""
        result, job = await read(request, JobResult), number(request)
        try:
            is_taken = await asyncio.to_thread(oracle_jobs.finish, self._world, job, result)
        except verdicts.UnreadableVerdict as wrong:
            raise BadRequest(400, "bad_request", str(wrong)) from wrong
        if not is_taken:
            raise BadRequest(
                409,
                "job_lost",
                f"job {job} is not {result.runner}'s any more: its result counts for nothing",
            )
        await asyncio.to_thread(fresh.look, self._world)
        return done()

    async def job(self, request: Request) -> Answer:
        """Answer how a job stands: at once, or as soon as it has a verdict within `wait_s`."""
        try:
            wait_s = float(request.query_params.get("wait_s", "0"))
        except ValueError as wrong:
            raise BadRequest(400, "bad_request", "wait_s is a number of seconds") from wrong
        loop = asyncio.get_running_loop()
        until = loop.time() + min(wait_s, WAIT_S_MAX)
        while True:
            ring = self._world.bell.listen()
            job_state = await asyncio.to_thread(status.job, self._world, number(request))
            if job_state is None:
                raise _unknown_job(number(request))
            left_s = until - loop.time()
            if job_state.verdict is not None or not left_s > 0:
                return job_state
            await self._world.bell.wait_for(ring, left_s)

    async def run(self, request: Request) -> Answer:
        """Ask for one run of each suite that is meant, on a commit."""
        wish = await read(request, OracleRunRequest)
        names = suites_of(self._world, wish.suite)
        await check_cases(self._world)
        jobs = {name: await asyncio.to_thread(self._request, name, wish) for name in names}
        return OracleRunJobs(jobs=jobs)

    def _request(self, suite: str, wish: OracleRunRequest) -> int:
        repo = self._world.config.suites[suite].repo
        is_main = wish.commit in (None, self._world.config.repos[repo].branch)
        commit = (
            self._world.main(repo) if is_main else self._world.repos[repo].commits.resolve(str(wish.commit))
        )
        if commit is None:
            raise BadRequest(
                404,
                "commit_unknown",
                f"repository {repo} has no commit {wish.commit}",
            )
        if wish.fresh:
            return fresh.ask(self._world, suite, commit).id
        job_request = oracle_jobs.JobRequest(suite, commit, oracle_jobs.AUDIT)
        return oracle_jobs.request(self._world, job_request).id

    async def check(self, request: Request) -> Answer:
        """Ask for the check of every suite with planted wrong engines."""
        await check_cases(self._world)
        checks = []
        for suite in self._world.config.suites:
            job = await asyncio.to_thread(oracle_check.ask, self._world, suite)
            checks.append(OracleCheckJob(suite=suite, job=job.id))
        return checks


def _unknown_job(job: int) -> BadRequest:
    return BadRequest(404, "unknown_job", f"there is no job {job}")
