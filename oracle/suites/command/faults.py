"""Owns the faults that are planted in a whole project: its command replaced, no test selected, its sources
rewritten.

Rule: a suite is planted only with what it could notice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from oracle import globs
from oracle.cases.spec import Suite
from oracle.suites.command import canary, readers
from oracle.suites.teeth import NOTHING


@dataclass(frozen=True)
class WrongProject:
    """A command suite with nothing behind it.

    `sources` says by the ending of a name what such a source holds then; "" stands for all others.
    """

    name: str
    command: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    def suite(self, suite: Suite) -> Suite:
        """Return the suite as it runs with the fault."""
        return replace(suite, command=self.command or suite.command, env={**suite.env, **self.env})

    def written(self, suite: Suite, files: Sequence[str], sources: Sequence[str]) -> dict[str, str]:
        """Return the files that hold something else then, and what.

        A file whose ending `self.sources` lacks stays as it is.
        """
        changed: dict[str, str] = {}
        for path in emptied(suite, files, sources):
            ending = "." + path.rpartition(".")[2]
            text = self.sources.get(ending, self.sources.get(""))
            if text is not None:
                changed[path] = text
        return changed


HOLLOW = WrongProject("emptied", sources={"": ""})
NOTHING_RUNS = WrongProject("nothing-runs", NOTHING)
LEAVES_EARLY = WrongProject("leaves-early", sources={".py": "import os\nos._exit(0)\n"})


def projects(suite: Suite) -> tuple[WrongProject, ...]:
    """Return the faults that the suite has to notice.

    Where only the exit status counts, a command that does nothing cannot be told from one that passes: only
    emptying helps. One that leaves early is told from it by canaries alone, so it is planted where there are
    some.
    """
    planted = [HOLLOW]
    if readers.of(suite.results).names_tests or canary.has(suite):
        planted += [NOTHING_RUNS, *_nothing_selected(suite)]
    if canary.has(suite) and str(suite.canary).endswith(".py"):
        planted.append(LEAVES_EARLY)
    return tuple(planted)


def emptied(suite: Suite, files: Sequence[str], sources: Sequence[str]) -> list[str]:
    """Return the files to empty: the modules' own (`sources`, globs), or, where nobody says which those are,
    all that agents may write.
    """
    unprotected = [path for path in files if not globs.matches_any(suite.protect, path)]
    if not sources:
        return unprotected
    return [path for path in unprotected if globs.matches_any(tuple(sources), path)]


def _nothing_selected(suite: Suite) -> list[WrongProject]:
    """Return the command told to select no test, by each tool of ours that it calls."""
    return [
        WrongProject("nothing-selected", env=tool.selects_nothing)
        for tool in readers.TOOLS
        if tool.selects_nothing and tool.called_as.search(suite.command or "")
    ]
