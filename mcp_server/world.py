"""What a use case works with: the store, the repositories, the audit log, the clock, the bell, the models.

Rule: the composition root makes it, and nobody else opens any of it.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from mcp_server.audit import Audit
from mcp_server.bell import Bell
from mcp_server.config import Config
from mcp_server.core.principal import Principal
from mcp_server.core.red_suite import RedSuite
from mcp_server.core.role import Role
from mcp_server.models.accounts import Accounts
from mcp_server.models.ledger import Ledger
from mcp_server.repos.held_out import HeldOut
from mcp_server.repos.repository import Repository
from mcp_server.store import CommitGroup, Store, Tx
from mcp_server.tally import Tally

MS_PER_MINUTE = 60_000


def steady_ms() -> int:
    """Return the time of a clock that only goes forward: between two of its times lies what has passed."""
    return time.monotonic_ns() // 1_000_000


@dataclass(frozen=True)
class World:
    config: Config
    store: Store
    repos: dict[str, Repository]
    audit: Audit
    bell: Bell
    group: CommitGroup
    now_ms: Callable[[], int]
    held_out: Mapping[str, HeldOut] = field(default_factory=dict)  # by suite; a suite without is not in it
    # Of the model gateway, and true only while this process lives.
    accounts: Accounts = field(default_factory=Accounts)
    ledger: Ledger = field(default_factory=Ledger)
    over_budget: dict[int, int] = field(default_factory=dict)  # fence of a lease -> since when
    red: dict[str, RedSuite] = field(default_factory=dict)  # by suite, what use_cases.oracle.red wrote of it
    # Of the runners, by `steady_ms`, and true only while this process lives: its next start takes all jobs
    # back.
    runners: dict[str, int] = field(default_factory=dict)  # when each was heard of last
    renewed: dict[int, int] = field(default_factory=dict)  # when of each running job
    # By runner and suite the ids of its images; by suite those in force, which change in a write transaction.
    runner_images: dict[str, Mapping[str, str]] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    steady_ms: Callable[[], int] = steady_ms
    tally: Tally = field(default_factory=Tally)
    # Ref of a salvaged commit that may not be there yet -> repository, commit.
    unkept: dict[str, tuple[str, str]] = field(default_factory=dict)

    def role_of(self, agent: str) -> Role:
        """Return what an agent is there for; a client that connects is a worker."""
        spec = self.config.spec_of(agent)
        return Role(spec.role) if spec is not None else Role.WORKER

    @property
    def lease_ms(self) -> int:
        return int(self.config.run.lease_minutes * MS_PER_MINUTE)

    def today(self) -> str:
        """Return the date in UTC, as YYYY-MM-DD."""
        return datetime.fromtimestamp(self.now_ms() / 1000, UTC).date().isoformat()

    def branch(self, repo: str) -> str:
        return self.config.repos[repo].branch

    def main(self, repo: str) -> str:
        """Return the commit that main of `repo` is at."""
        return self.repos[repo].refs.branch_tip(self.branch(repo))

    def main_ref(self, repo: str) -> str:
        return f"refs/heads/{self.branch(repo)}"

    def suites_of(self, repo: str) -> list[str]:
        return [name for name, suite in self.config.suites.items() if suite.repo == repo]

    def at_one_moment(self) -> "World":
        """Return this world with its clock standing still. What one transaction decides it decides at one
        moment: if the clock were read twice, a lease could be live for the decision and over for its answer.
        """
        now_ms = self.now_ms()
        return replace(self, now_ms=lambda: now_ms)

    def record(self, tx: Tx, kind: str, who: Principal | None = None, /, **fields: Any) -> None:
        """Record one event in this transaction, by `who` if somebody did it. The fields `agent`, `session`,
        `task` and `fence` say of whom and what it is; the others are its data, each a JSON value.
        """
        if who is not None:
            fields = {"agent": who.name, "session": who.session} | fields
        self.audit.record(tx, self.now_ms(), kind, **fields)
