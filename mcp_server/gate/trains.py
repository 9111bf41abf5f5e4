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
from mcp_server.gate import judging, landings, merging, refusing
from mcp_server.gate.judging import Broken
from mcp_server.store import jobs as job_rows
from mcp_server.store.submissions import Submission
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.world import World

WANTED_BY = "train"


@dataclass(frozen=True)
class Car:
    """One change in its place: `tree` is that of main with everything up to and including it."""

    submission: Submission
    tree: str


@dataclass
class Train:
    """`runs` are the jobs asked for, by the length of the prefix that they test; `aside` are those that do
    not merge with who is before them.
    """

    world: World
    repo: str
    base: str = ""
    cars: list[Car] = field(default_factory=list)
    runs: dict[int, dict[str, int]] = field(default_factory=dict)
    aside: set[int] = field(default_factory=set)
    since_ms: dict[int, int] = field(default_factory=dict)  # when each of those who wait was first seen
    known: dict[int, PrefixOutcome] = field(default_factory=dict)  # of runs that have ended
    pinned: set[int] = field(default_factory=set)  # runs that are wanted as they are, since one has broken
    step: int = train.STEP_START
    _dropped: bool = (
        True  # whether jobs may be queued that are not wanted any more, such as those of an earlier process
    )

    def advance(self, waiting: Sequence[Submission], slots: int) -> bool:
        """One round for all that passed alone, oldest first. Whether anything moved."""
        moved = self._advance(waiting, slots)
        if self._dropped:
            wanted = {job for jobs in self.runs.values() for job in jobs.values()}
            oracle_jobs.want_only(self.world, self.repo, WANTED_BY, wanted)
            self._dropped = False
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
        return [car.submission.id for car in self.cars]

    def meets(self, tree: str) -> bool:
        """Whether landing `tree` now would change what a suite reads of those who wait here: then it waits
        behind them.
        """
        if not self.cars or self.base != self.world.main(self.repo):
            return False
        return bool(
            merging.touched(self.world, self.repo, self.base, tree)
            & merging.touched(self.world, self.repo, self.base, self.cars[-1].tree)
        )

    # -- the sequence

    def _couple(self, waiting: Sequence[Submission], slots: int) -> None:
        """Brings the cars up to date with main and with who waits. Only as many are merged as may be tested
        at once.
        """
        main, by_id = self.world.main(self.repo), {one.id: one for one in waiting}
        tested, lengths = self.ids[: max(self.runs, default=0)], sorted(self.runs)
        if main != self.base:
            self._cut(0)
            self.base, self.aside = main, set()
            if merging.unmeasured(self.world, self.repo, main):
                return self._send_back(waiting)
        self.since_ms = {id: self.since_ms.get(id, self.world.now_ms()) for id in by_id}
        wanted = [id for id in train.order(map(_waits, waiting), tested) if id not in self.aside]
        wanted = wanted[: max(len(tested), self.step * max(1, slots))]
        cars = [car.submission for car in self.cars]
        self._cut(
            next(
                (at for at, one in enumerate(cars) if at >= len(wanted) or one != by_id[wanted[at]]),
                len(cars),
            )
        )
        for id in wanted[len(self.cars) :]:
            self._append(by_id[id])
        # Another main, and what was under way is asked for again: where nothing that it reads has changed it
        # is the same run.
        if again := [
            length for length in lengths if length not in self.runs and self.ids[:length] == tested[:length]
        ]:
            self._test(again + list(self.runs))

    def _send_back(self, waiting: Sequence[Submission]) -> None:
        """Nobody knows what main passes: it was moved by a hand. All begin anew, which measures it."""
        self.base = ""
        for one in waiting:
            landings.back(self.world, one, reason="main moved")

    def _cut(self, length: int) -> None:
        self._dropped = self._dropped or any(prefix > length for prefix in self.runs)
        self.cars, self.pinned = self.cars[:length], {prefix for prefix in self.pinned if prefix <= length}
        self.runs = {prefix: jobs for prefix, jobs in self.runs.items() if prefix <= length}
        self.known = {prefix: outcome for prefix, outcome in self.known.items() if prefix <= length}

    def _append(self, submission: Submission) -> None:
        before = [car.submission for car in self.cars]
        onto = merging.chained(self.world, before, self.base, self.cars[-1].tree) if before else self.base
        tree = merging.tree(self.world, submission, onto)
        if not isinstance(tree, Refused):
            self.cars.append(Car(submission, tree))
        elif before:  # it may go with main without those before it: seen once they have landed, or left
            self.aside.add(submission.id)
            landings.lose_place(
                self.world, submission, reason=f"it does not go with those before it: {tree.happened}"
            )
        else:
            refusing.refuse(self.world, submission, tree)
            self.world.bell.ring()

    # -- runs

    def _test(self, lengths: Sequence[int]) -> bool:
        """Asks for the runs that are not asked for, and for broken ones again; those not wanted any more are
        run by nobody.
        """
        new = [
            length
            for length in lengths
            if length not in self.runs or self.known.get(length) is PrefixOutcome.BROKEN
        ]
        dropped = [length for length in self.runs if length not in lengths and length not in self.known]
        if any(self.known.get(length) is PrefixOutcome.BROKEN for length in lengths):
            self.pinned.update(lengths)
        for length in new:
            self.runs[length] = self._request(length)
            self.known.pop(length, None)
        for length in dropped:
            del self.runs[length]
            self._dropped = True
        return bool(new)

    def _request(self, length: int) -> dict[str, int]:
        """A whole batch goes first, and so does the search for a failure. Less than that takes the place in
        the queue that its first car has had since it came: a run for one change while others wait for theirs
        would halve what lands.
        """
        whole = length >= self.step or PrefixOutcome.FAILED in self.known.values()
        priority = oracle_jobs.TRAIN if whole else oracle_jobs.GATE
        since_ms = self.since_ms[self.cars[0].submission.id]
        suites, tree = self.world.suites_of(self.repo), self.cars[length - 1].tree
        asked = oracle_jobs.request_all(
            self.world,
            [
                oracle_jobs.JobRequest(name, tree, priority, since_ms=since_ms, by=WANTED_BY)
                for name in suites
            ],
        )
        return {name: job.id for name, job in zip(suites, asked, strict=True)}

    def _outcomes(self) -> dict[int, PrefixOutcome]:
        """Of what has ended and of what runs; a run that only waits for a runner can still become one of a
        longer prefix.
        """
        found = {}
        for length in self.runs:
            if length not in self.known and (outcome := self._outcome(length)) is not PrefixOutcome.RUNNING:
                self.known[length] = outcome
            if length in self.known:
                found[length] = self.known[length]
            elif length in self.pinned or self._runs(length):
                found[length] = PrefixOutcome.RUNNING
        return found

    def _runs(self, length: int) -> bool:
        with self.world.store.read() as tx:
            return job_rows.RUNNING in job_rows.states(tx, self.runs[length].values()).values()

    def _outcome(self, length: int) -> PrefixOutcome:
        match judging.judge(
            self.world, [car.submission for car in self.cars[:length]], self.base, self.runs[length]
        ):
            case True:
                return PrefixOutcome.PASSED
            case False:
                return PrefixOutcome.RUNNING
            case Broken():
                return PrefixOutcome.BROKEN
            case _:
                return PrefixOutcome.FAILED

    # -- ends

    def _land(self, length: int) -> bool:
        members = [car.submission for car in self.cars[:length]]
        landings.intend(
            self.world,
            merging.together(self.world, members, self.base, self.cars[length - 1].tree, self.runs[length]),
        )
        return True

    def landed(self, candidate: str, ids: Sequence[int]) -> None:
        """Main moved by a prefix of this train: the rest stays as it was merged, on the new main."""
        length = len(ids)
        if self.ids[:length] != list(ids):
            return
        self.step = train.grown(self.step)
        self.base, self.cars, self.aside = candidate, self.cars[length:], set()
        wanted = [prefix - length for prefix in self.runs if prefix > length]
        self.runs, self.known, self.pinned, self._dropped = {}, {}, set(), True
        self._test(wanted)

    def _uncouple_head(self) -> bool:
        """Refuted with nothing but main before it, or not to be tested at all: it is refused, and the rest is
        merged anew.
        """
        [head, *_], jobs = self.cars, self.runs[1]
        told = judging.judge(self.world, [head.submission], self.base, jobs)
        if isinstance(told, bool):  # main's outcomes were corrected meanwhile
            del self.known[1]
            return True
        self.step = train.halved(self.step)
        self._cut(0)
        self.aside = set()
        refusing.refuse(self.world, head.submission, told.told if isinstance(told, Broken) else told)
        return True


def _waits(submission: Submission) -> Waiting:
    return Waiting(submission.id, submission.tries)
