"""What an agent does next by its role, over every board; and that a run of any crew comes to its end."""

import itertools

import pytest

from harness.client import ServerGone
from harness.sessions import duty
from harness.sessions.duty import Go, Later, NoMoreDuty, Others, RunView
from harness.sessions.supervisor import Boards
from mcp_server.core.role import Role
from mcp_server.wire.status import RunStatus
from tests import wired


def board(*, finished: bool = False, claimable: bool = True, tasks: int = 3, landings: int = 0) -> RunView:
    return RunView(finished, claimable, tasks, landings, {})


BEFORE = board(tasks=2, landings=1)
WORKERS, PLANNERS, REVIEWERS = Others(workers=True), Others(planners=True), Others(reviewers=True)


@pytest.mark.parametrize(
    ("role", "now", "last", "others", "does"),
    [
        (Role.WORKER, board(), None, Others(), Go()),
        (Role.WORKER, board(claimable=False), None, Others(), Later("no task is free now")),
        (Role.WORKER, board(finished=True), None, Others(), NoMoreDuty("no task is left")),
        (
            Role.WORKER,
            board(finished=True),
            None,
            PLANNERS,
            Later("no task is left; others may still make some"),
        ),
        (
            Role.WORKER,
            board(finished=True),
            None,
            REVIEWERS,
            Later("no task is left; others may still make some"),
        ),
        (Role.PLANNER, board(finished=True, tasks=0), None, WORKERS, Go()),
        (Role.PLANNER, board(), BEFORE, WORKERS, Later("the tasks are being worked on")),
        (Role.PLANNER, board(), BEFORE, Others(), NoMoreDuty("it has planned, and no worker is left")),
        (Role.PLANNER, board(finished=True, tasks=3), BEFORE, WORKERS, Go()),
        (Role.PLANNER, board(finished=True, tasks=2), BEFORE, WORKERS, NoMoreDuty("nothing is left to plan")),
        (Role.REVIEWER, board(landings=0), None, WORKERS, Later("nothing new has landed")),
        (Role.REVIEWER, board(landings=1), None, WORKERS, Go()),
        (Role.REVIEWER, board(landings=1), BEFORE, WORKERS, Later("nothing new has landed")),
        (Role.REVIEWER, board(landings=2, finished=True), BEFORE, Others(), Go()),
        (
            Role.REVIEWER,
            board(landings=1, finished=True),
            BEFORE,
            WORKERS,
            NoMoreDuty("everything that landed is reviewed"),
        ),
        (Role.REVIEWER, board(landings=1, finished=True), BEFORE, PLANNERS, Later("nothing new has landed")),
        (Role.REVIEWER, board(landings=1), BEFORE, Others(), NoMoreDuty("no worker is left")),
    ],
)
def test_what_a_role_does_next(
    role: Role, now: RunView, last: RunView | None, others: Others, does: object
) -> None:
    assert duty.following(role, now, last, others) == does


def test_an_agent_that_waits_by_itself_is_started_though_no_task_is_free() -> None:
    assert duty.following(Role.WORKER, board(claimable=False), None, Others(), waits_itself=True) == Go()


@pytest.mark.parametrize(
    "crew", [crew for size in (1, 2, 3, 4) for crew in itertools.combinations_with_replacement(Role, size)]
)
def test_every_crew_comes_to_its_end_and_leaves_nothing_undone(crew: tuple[Role, ...]) -> None:
    """A planner plans twice two tasks, a worker's session lands one, a reviewer's first session finds one
    more.
    """
    tasks, landed, plans, findings = 0, 0, 2, 1
    alive, last = dict(enumerate(crew)), dict.fromkeys(range(len(crew)))
    for _ in range(100):
        went = False
        for me, role in list(alive.items()):
            roles = {other for number, other in alive.items() if number != me}
            others = Others(Role.WORKER in roles, Role.PLANNER in roles, Role.REVIEWER in roles)
            now = board(finished=landed == tasks, claimable=landed < tasks, tasks=tasks, landings=landed)
            match duty.following(role, now, last[me], others):
                case NoMoreDuty():
                    del alive[me]
                    went = True
                case Go():
                    went, last[me] = True, now
                    if role is Role.WORKER:
                        landed += 1
                    elif role is Role.PLANNER and plans:
                        tasks, plans = tasks + 2, plans - 1
                    elif role is Role.REVIEWER and findings:
                        tasks, findings = tasks + 1, findings - 1
        assert went, f"all of {list(alive.values())} wait for each other"
        if not alive:
            break
    assert not alive
    if Role.WORKER in crew:
        assert landed == tasks
        assert plans == (0 if Role.PLANNER in crew else 2)


def test_an_account_that_is_closed_is_known_by_its_reset() -> None:
    status = wired.run_status(
        tasks={"open": 2, "claimed": 0, "done": 1, "blocked": 0},
        landings=1,
        accounts=[
            wired.account("anthropic", "closed", 5, "spent"),
            wired.account("openai", "waiting", 5, "rate limit"),
            wired.account("gemini", "ready", None, ""),
        ],
    )
    assert RunView.of(status) == RunView(False, True, 3, 1, {"anthropic": (5, "spent")})


class Counting:
    """A server that only has a status, and counts who asks for it."""

    def __init__(self) -> None:
        self.asked, self.away = 0, False

    def status(self) -> RunStatus:
        self.asked += 1
        if self.away:
            raise ServerGone("restarting")
        return wired.run_status(landings=self.asked)


def test_many_agents_share_a_look_and_one_that_would_stop_takes_its_own() -> None:
    server = Counting()
    boards = Boards(server, seen_s=3600)
    assert [board.landings for _ in range(9) if (board := boards.newest(False))] == [1] * 9
    fresh = boards.newest(True)
    assert fresh is not None and fresh.landings == 2
    server.away = True
    assert boards.newest(True) is None
