"""The train of one repository: what passed alone, merged one onto the other, tested by prefixes and landed in
batches.

Rule: nothing here has to last. Who waits is in the rows, runs are found again by what they read, so that a
train is put together anew after a restart; only `landings` moves main.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mcp_server.core import train
from mcp_server.core.refusal import Refused
from mcp_server.core.train import PrefixOutcome, Waiting
from mcp_server.gate import doubting, judging, landings, merging, refusing
from mcp_server.gate.judging import Broken, Outdated
from mcp_server.store import jobs as job_rows
from mcp_server.store.submissions import Submission
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.world import World

WANTED_BY = "train"


@dataclass(frozen=True)
class Car:
    """One change in its place. `tree` is that of main with everything up to and including it."""

    submission: Submission
    tree: str


@dataclass
class Train:
    """The train of one repository, as this process has put it together."""

    world: World
    repo: str
    base: str = ""
    # What its runs are had in, by suite.
    images: dict[str, str] = field(default_factory=dict)
    cars: list[Car] = field(default_factory=list)
    # The jobs asked for, by the length of the prefix that they test, and what those that have ended say.
    runs: dict[int, dict[str, int]] = field(default_factory=dict)
    ended: dict[int, PrefixOutcome] = field(default_factory=dict)
    # Prefixes whose runs are wanted as they are, since one has broken.
    pinned: set[int] = field(default_factory=set)
    # Those that do not merge with who is before them.
    aside: set[int] = field(default_factory=set)
    # When each of those who wait was first seen.
    since_ms: dict[int, int] = field(default_factory=dict)
    step: int = train.STEP_START
    # True while jobs may be queued that are not wanted any more, such as those of an earlier process.
    _has_dropped: bool = True

    def advance(self, waiting: Sequence[Submission], slots: int) -> bool:
        """Take one round for all that passed alone, oldest first. Return True if anything moved."""
        moved = self._advance(waiting, slots)
        if self._has_dropped:
            job_ids = {job for jobs in self.runs.values() for job in jobs.values()}
            oracle_jobs.want_only(self.world, self.repo, WANTED_BY, job_ids)
            self._has_dropped = False
        return moved

    def _advance(self, waiting: Sequence[Submission], slots: int) -> bool:
        self._couple(waiting, slots)
        head_alone = bool(self.cars) and _waits(self.cars[0].submission).goes_first
        plan = train.plan(
            len(self.cars), self._outcomes(), slots=slots, step=self.step, head_alone=head_alone
        )
        if plan.land:
            return self._land(plan.land)
        if plan.head is not None:
            return self._uncouple_head()
        return self._test(plan.test)

    @property
    def ids(self) -> list[int]:
        """Return the submissions of the cars, in order."""
        return [car.submission.id for car in self.cars]

    def meets(self, tree: str) -> bool:
        """Return True if landing `tree` now would change what a suite reads of those who wait here: then it
        waits behind them.
        """
        if not self.cars or self.base != self.world.main(self.repo):
            return False
        touched = merging.touched(self.world, self.repo, self.base, tree)
        touched_here = merging.touched(self.world, self.repo, self.base, self.cars[-1].tree)
        return bool(touched & touched_here)

    # -- the sequence

    def _couple(self, waiting: Sequence[Submission], slots: int) -> None:
        """Bring the cars up to date with main and with who waits. Only as many are merged as may be tested at
        once.
        """
        main, by_id = self.world.main(self.repo), {submission.id: submission for submission in waiting}
        tested, lengths = self.ids[: max(self.runs, default=0)], sorted(self.runs)
        images = {name: self.world.images.get(name, "") for name in self.world.suites_of(self.repo)}
        if (main, images) != (self.base, self.images):
            self._cut(0)
            self.base, self.images, self.aside = main, images, set()
            if merging.unmeasured(self.world, self.repo, main):
                return self._send_back(waiting)
        self.since_ms = {id: self.since_ms.get(id, self.world.now_ms()) for id in by_id}
        order = [id for id in train.order(map(_waits, waiting), tested) if id not in self.aside]
        order = order[: max(len(tested), self.step * max(1, slots))]
        sequence = [by_id[id] for id in order]
        self._cut(self._length_in_common(sequence))
        for submission in sequence[len(self.cars) :]:
            self._append(submission)
        # Another main, and what was under way is asked for again: if nothing that it reads has changed, it is
        # the same run.
        lost = [length for length in lengths if length not in self.runs]
        if again := [length for length in lost if self.ids[:length] == tested[:length]]:
            self._test(again + list(self.runs))

    def _length_in_common(self, sequence: Sequence[Submission]) -> int:
        """Return how many cars from the front may stay as they are."""
        for at, car in enumerate(self.cars):
            if at >= len(sequence) or car.submission != sequence[at]:
                return at
        return len(self.cars)

    def _send_back(self, waiting: Sequence[Submission]) -> None:
        """Let all begin anew, which measures main: a hand moved it or its suites have other images, and
        nobody knows what it passes.
        """
        self.base = ""
        for submission in waiting:
            landings.requeue(self.world, submission, reason="main has to be measured again")

    def _cut(self, length: int) -> None:
        """Leave `length` cars, and the runs of their prefixes."""
        self._has_dropped = self._has_dropped or any(prefix > length for prefix in self.runs)
        self.cars, self.pinned = self.cars[:length], {prefix for prefix in self.pinned if prefix <= length}
        self.runs = {prefix: jobs for prefix, jobs in self.runs.items() if prefix <= length}
        self.ended = {prefix: outcome for prefix, outcome in self.ended.items() if prefix <= length}

    def _append(self, submission: Submission) -> None:
        """Merge a submission onto those before it. One that does not merge with them is put aside; one that
        does not merge with main is refused.
        """
        before, onto = [car.submission for car in self.cars], self.base
        if before:
            onto = merging.commit_prefix(self.world, before, self.base, self.cars[-1].tree)
        tree = merging.merged_tree(self.world, submission, onto)
        if not isinstance(tree, Refused):
            self.cars.append(Car(submission, tree))
        elif before:  # it may go with main without those before it: seen once they have landed, or left
            self.aside.add(submission.id)
            reason = f"it does not go with those before it: {tree.happened}"
            landings.lose_place(self.world, submission, reason=reason)
        else:
            refusing.refuse(self.world, submission, tree)
            self.world.bell.ring()

    # -- runs

    def _test(self, lengths: Sequence[int]) -> bool:
        """Ask for the runs that are not asked for, and for broken ones again; those not wanted any more are
        run by nobody. Return True if a run was asked for.
        """
        broken = {length for length, outcome in self.ended.items() if outcome is PrefixOutcome.BROKEN}
        new = [length for length in lengths if length not in self.runs or length in broken]
        dropped = [length for length in self.runs if length not in lengths and length not in self.ended]
        if broken.intersection(lengths):
            self.pinned.update(lengths)
        for length in new:
            self.runs[length] = self._request(length)
            self.ended.pop(length, None)
        for length in dropped:
            del self.runs[length]
            self._has_dropped = True
        return bool(new)

    def _request(self, length: int) -> dict[str, int]:
        """Ask for the runs of a prefix, and return their jobs by suite.

        A whole batch goes first, and so does the search for a failure. Less than that takes the place in the
        queue that its first car has had since it came: a run for one change while others wait for theirs
        would halve what lands.
        """
        goes_first = length >= self.step or PrefixOutcome.FAILED in self.ended.values()
        priority = oracle_jobs.TRAIN if goes_first else oracle_jobs.GATE
        since_ms = self.since_ms[self.cars[0].submission.id]
        suites, tree = self.world.suites_of(self.repo), self.cars[length - 1].tree
        requests = [
            oracle_jobs.JobRequest(name, tree, priority, since_ms=since_ms, by=WANTED_BY) for name in suites
        ]
        jobs = oracle_jobs.request_all(self.world, requests)
        return {name: job.id for name, job in zip(suites, jobs, strict=True)}

    def _outcomes(self) -> dict[int, PrefixOutcome]:
        """Return the outcomes of what has ended and of what runs, by the length of the prefix. A run that
        only waits for a runner can still become one of a longer prefix, so it is left out.
        """
        outcomes = {}
        for length in self.runs:
            if length not in self.ended and (outcome := self._outcome(length)) is not PrefixOutcome.RUNNING:
                self.ended[length] = outcome
            if length in self.ended:
                outcomes[length] = self.ended[length]
            elif length in self.pinned or self._is_running(length):
                outcomes[length] = PrefixOutcome.RUNNING
        return outcomes

    def _is_running(self, length: int) -> bool:
        with self.world.store.read() as tx:
            return job_rows.RUNNING in job_rows.states(tx, self.runs[length].values()).values()

    def _outcome(self, length: int) -> PrefixOutcome:
        members = [car.submission for car in self.cars[:length]]
        match judging.judge(self.world, members, self.base, self.runs[length]):
            case True:
                return PrefixOutcome.PASSED
            case False | Outdated():  # the next round sends all back
                return PrefixOutcome.RUNNING
            case Broken():
                return PrefixOutcome.BROKEN
            case _:
                return PrefixOutcome.FAILED

    # -- ends

    def _land(self, length: int) -> bool:
        members = [car.submission for car in self.cars[:length]]
        tree, jobs = self.cars[length - 1].tree, self.runs[length]
        candidates = merging.make_shared_candidate(self.world, members, self.base, tree, jobs)
        landings.intend(self.world, candidates)
        return True

    def follow(self, candidate: str, ids: Sequence[int]) -> None:
        """Follow main, which moved to `candidate`. If that is a prefix of this train, the rest stays as it
        was merged, on the new main.
        """
        length = len(ids)
        if self.ids[:length] != list(ids):
            return
        self.step = train.grown(self.step)
        self.base, self.cars, self.aside = candidate, self.cars[length:], set()
        lengths = [prefix - length for prefix in self.runs if prefix > length]
        self.runs, self.ended, self.pinned, self._has_dropped = {}, {}, set(), True
        self._test(lengths)

    def _uncouple_head(self) -> bool:
        """Refuse the head, which was refuted with nothing but main before it or is not to be tested at all;
        the rest is merged anew.
        """
        head, jobs = self.cars[0], self.runs[1]
        verdict = judging.judge(self.world, [head.submission], self.base, jobs)
        if isinstance(verdict, Refused):
            verdict = doubting.blame(self.world, [head.submission], self.base, jobs, verdict)
            if verdict is False:
                return False
        if isinstance(verdict, bool | Outdated):  # main's outcomes were corrected meanwhile
            self.ended.clear()
            return True
        self.step = train.halved(self.step)
        self._cut(0)
        self.aside = set()
        refusal = verdict.refusal if isinstance(verdict, Broken) else verdict
        refusing.refuse(self.world, head.submission, refusal)
        return True


def _waits(submission: Submission) -> Waiting:
    return Waiting(submission.id, submission.tries)
