"""The cases of a suite as the server knows them: those that a commit of main holds, and those held out.

Rule: what agents name, and what they are told by name, is never a held-out one.
"""

import hashlib
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Any

from mcp_server.core import case_globs
from mcp_server.repos import case_files, held_out
from mcp_server.repos.held_out import HeldOut
from mcp_server.store import jobs as job_rows
from mcp_server.world import World
from oracle.cases.files import BadCases, CaseProblem
from oracle.cases.spec import Case, Suite

NONE = HeldOut()
PROBLEMS_MAX = 5  # in one sentence; whoever starts a run is told all of them


def load(world: World, suite: str, commit: str) -> list[Case]:
    """Return every case, the hidden ones last. Raise the oracle's BadCases, naming file and line."""
    spec = world.config.suites[suite]
    cases = case_files.load(world.repos[spec.repo], commit, spec)
    hidden = world.held_out.get(suite, NONE).cases
    if hidden and (problems := [_taken(case) for case in cases if case.id.startswith(held_out.PREFIX)]):
        raise BadCases(problems)
    return [*cases, *hidden.values()]


def _taken(case: Case) -> CaseProblem:
    """Return what is wrong with a case of a commit that has the name of a held-out one."""
    happened = f"case {case.id!r}: {held_out.PREFIX} begins the names of held-out cases"
    return CaseProblem(case.file, case.line, happened)


def key(world: World, suite: str, commit: str) -> str:
    """Return a name for the suite with the content of all its cases: with the images that it runs in, what a
    remembered failure depends on.
    """
    spec = world.config.suites[suite]
    return _with_hidden(world, suite, case_files.key(world.repos[spec.repo], commit, spec))


def with_image(world: World, suite: str, key: str) -> str:
    """Return the key as one of the images in force, as each verdict is known by."""
    return job_rows.with_image(key, world.images.get(suite, ""))


def spec_key(world: World, suite: str, *, image: str | None = None) -> str:
    """Return a name for what of the suite is in no commit, which is its table, its held-out cases and the
    images (those in force, if not told): with a commit, what its outcomes depend on.
    """
    key = _with_hidden(world, suite, _of_spec(world.config.suites[suite]))
    return with_image(world, suite, key) if image is None else job_rows.with_image(key, image)


_of_spec = lru_cache(Suite.key)  # of each suite: whoever lands asks for it hundreds of times


def _with_hidden(world: World, suite: str, key: str) -> str:
    hidden = world.held_out.get(suite, NONE).key
    return hashlib.sha256(f"{key} {hidden}".encode()).hexdigest() if hidden else key


def hidden(world: World, suite: str, ids: Iterable[str]) -> frozenset[str]:
    """Return those of the ids that are held out."""
    if not world.config.suites[suite].held_out:
        return frozenset()
    return frozenset(id for id in ids if id.startswith(held_out.PREFIX))


def named(world: World, suite: str, globs: Collection[str]) -> tuple[str, ...]:
    """Return the ids of the cases on main that the globs name, never a hidden one. Raise BadCases."""
    cases = load(world, suite, world.main(world.config.suites[suite].repo))
    ids = [case.id for case in cases if not case.hidden]
    chosen = case_globs.chosen(globs, ids)
    return tuple(id for id in ids if id in chosen)


def where(world: World, suite: str, ids: Iterable[str]) -> list[dict[str, Any]]:
    """Return file and line of hidden cases, for people."""
    cases = world.held_out.get(suite, NONE).cases
    return [{"id": id, "file": cases[id].file, "line": cases[id].line} for id in sorted(ids) if id in cases]


def reason(world: World, suite: str, text: str) -> str:
    """Return a reason as agents may read it: one that gives a hidden case away is kept for people."""
    cases = world.held_out.get(suite, NONE).cases.values()
    if any(case.id in text or case.file in text for case in cases):
        return "a held-out case cannot be judged; people see which one"
    return text


def problems(world: World) -> list[CaseProblem]:
    """Return what is wrong with the cases of every suite on main."""
    problems: list[CaseProblem] = []
    for name, suite in world.config.suites.items():
        try:
            load(world, name, world.main(suite.repo))
        except BadCases as bad:
            problems += bad.problems
    return problems


def sentence(bad: BadCases) -> str:
    """Return the first few problems in one sentence, each with file and line."""
    problems = [str(problem) for problem in bad.problems[:PROBLEMS_MAX]]
    if len(bad.problems) > PROBLEMS_MAX:
        problems.append(f"and {len(bad.problems) - PROBLEMS_MAX} more")
    return "the cases cannot be read: " + "; ".join(problems)
