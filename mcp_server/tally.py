"""How often agents landed and were refused, counted from the audit log as it grows.

Rule: the log is only ever added to, so what was counted once is not read again.
"""

import json
import threading
from collections import Counter
from dataclasses import dataclass, field

from mcp_server.store import Tx
from mcp_server.store import events as rows


@dataclass
class AgentCounts:
    """`landings` and `refusals` by agent, `codes` of the refusals."""

    landings: Counter[str | None] = field(default_factory=Counter)
    refusals: Counter[str | None] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)

    def copy(self) -> "AgentCounts":
        return AgentCounts(self.landings.copy(), self.refusals.copy(), self.codes.copy())


class Tally:
    """The counts of one log, kept up as it grows. May be asked from any thread."""

    def __init__(self) -> None:
        self._counts, self._seq = AgentCounts(), 0
        self._turn = threading.Lock()

    def up_to(self, tx: Tx) -> AgentCounts:
        """Return the counts as of what this transaction sees, or a little later if another thread has counted
        meanwhile.
        """
        with self._turn:
            newest = rows.last(tx)
            if newest is None or newest.seq <= self._seq:
                return self._counts.copy()
            for row in rows.of_kind(tx, "landed", after=self._seq):
                self._counts.landings[row.agent] += 1
            for row in rows.of_kind(tx, "refusal", after=self._seq):
                self._counts.refusals[row.agent] += 1
                self._counts.codes[json.loads(row.body)["data"]["code"]] += 1
            self._seq = newest.seq
            return self._counts.copy()
