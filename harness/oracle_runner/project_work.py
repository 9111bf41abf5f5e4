"""Owns the runs of a command suite in its box: with which canary, how often, and the proof that the suite can
fail.

Rule: the canary's names are made for one run and known to nobody before it; the verdict is the oracle's.
"""

import io
import secrets
import tarfile
from collections.abc import Collection
from typing import Any

from harness.oracle_runner.oracle_box import OracleBox
from oracle.cases.spec import Suite
from oracle.judging import verdict
from oracle.judging.verdict import Built, Verdict
from oracle.suites import teeth
from oracle.suites.command import canary
from oracle.suites.command import suite as project
from oracle.suites.command.canary import Canary

SECRET_BYTES = 16

Json = dict[str, Any]


def judge(box: OracleBox, suite: Suite, build: Built | None, *, on_main: Collection[str] = ()) -> Verdict:
    """Runs the tests of the tree that the box holds."""
    return _run(box, suite, suite.command or "", build, on_main=on_main)


def check(box: OracleBox, job: Json, suite: Suite, tree: bytes) -> Verdict:
    """The suite must run as it is, with its canary seen, and must not pass once nothing is behind it."""
    build = box.prepare(tree, suite)
    ended = box.project(suite, suite.command or "") if build is None or build.exit == 0 else None
    whole = project.judge(suite, ended, build=build)
    if whole.status == verdict.BROKEN:
        return verdict.broken(f"the suite itself does not run: {whole.reason}", build=whole.build)
    planted = _hatched(suite)
    if planted and ended:
        wrong = project.unseen(suite, ended, planted, box.project(suite, suite.command or "", planted))
        if wrong:
            row = {"engine": canary.ENGINE, "caught": False, "status": whole.status}
            return Verdict(verdict.FAILED, f"the canary shows nothing: {wrong}", whole.counts, planted=[row])
    files = _files(tree)
    rows = []
    for wrong_project in teeth.projects(suite):
        written = wrong_project.written(suite, files, job.get("sources", ()))
        changed = wrong_project.suite(suite)
        decided = _run(box, changed, changed.command or "", box.prepare(tree, changed, written=written))
        rows.append(teeth.noticed(wrong_project.name, decided))
    return teeth.conclude(suite, rows, whole.counts)


def _run(
    box: OracleBox, suite: Suite, command: str, build: Built | None, *, on_main: Collection[str] = ()
) -> Verdict:
    if build is not None and build.exit != 0:
        return project.judge(suite, None, build=build, on_main=on_main)
    planted, sabotaged = _hatched(suite), None
    if planted and suite.results is None:
        ended = box.project(suite, command)
        sabotaged = box.project(suite, command, planted) if ended and ended.exit == 0 else None
    else:
        ended = box.project(suite, command, planted)
    return project.judge(suite, ended, build=build, planted=planted, sabotaged=sabotaged, on_main=on_main)


def _hatched(suite: Suite) -> Canary | None:
    return canary.hatch(suite, secrets.token_hex(SECRET_BYTES))


def _files(tree: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(tree)) as archive:
        return [entry.name for entry in archive if entry.isfile()]
