"""Owns the runs of a command suite in its box: with which canary, how often, and the proof that the suite can
fail.

Rule: the canary's names are made for one run and known to nobody before it; the verdict is the oracle's.
"""

import functools
import io
import secrets
import tarfile
from collections.abc import Collection, Mapping
from dataclasses import replace

from harness.oracle_runner.oracle_box import OracleBox
from mcp_server.wire.jobs import JobOrder
from oracle.cases.spec import Suite
from oracle.judging import excerpt, verdict
from oracle.judging.verdict import Built, Verdict
from oracle.suites import teeth
from oracle.suites.base import CANARY_ENGINE, Canary, CommandResult, PlainRun, ProjectRules

SECRET_BYTES = 16
PLAIN_RUNS_MAX = 3  # of a command in which only cases fail that are known to be flaky


def judge(
    box: OracleBox,
    suite: Suite,
    rules: ProjectRules,
    build: Built | None,
    *,
    on_main: Collection[str] = (),
) -> Verdict:
    """Run the tests of the tree that the box holds, and return the verdict on them."""
    return _run(box, suite, rules, build, on_main=on_main, with_plain=True)


def check(box: OracleBox, job_order: JobOrder, suite: Suite, rules: ProjectRules, tree: bytes) -> Verdict:
    """Return passed if the suite runs as it is, its canary is seen, and it fails with nothing behind it."""
    build = box.prepare(tree, suite)
    ended = box.project(suite, suite.command or "") if build is None or build.exit == 0 else None
    unplanted = rules.judge(suite, ended, build=build)
    printed = excerpt.log(build.tail if build else "", *((ended.output, ended.error) if ended else ()))
    if unplanted.status == verdict.BROKEN:
        reason = f"the suite itself does not run: {unplanted.reason}"
        return replace(verdict.broken(reason, build=unplanted.build), log=printed)
    if nothing := rules.unproven(suite, ended, build, unplanted):
        reason = f"the suite proves nothing: {nothing}"
        return replace(verdict.broken(reason, build=unplanted.build), log=printed)
    planted = _hatch(suite, rules)
    if planted and ended:
        wrong = rules.unseen(suite, ended, planted, box.project(suite, suite.command or "", planted))
        if wrong:
            row = {"engine": CANARY_ENGINE, "caught": False, "status": unplanted.status}
            reason = f"the canary shows nothing: {wrong}"
            return Verdict(verdict.FAILED, reason, unplanted.counts, planted=[row])
    files = _files(tree)
    passes_on_main = "pass" in unplanted.outcomes.values()
    rows = []
    for fault in rules.faults(suite):
        written = fault.written(suite, files, job_order.sources)
        changed = fault.suite(suite)
        decided = _run(box, changed, rules, box.prepare(rewritten(tree, written), changed))
        if passes_on_main:
            rows.append(teeth.noticed_by_passing(fault.name, decided, unplanted))
        else:  # declared by from_zero: there is nothing yet that a fault could take away
            rows.append(teeth.noticed(fault.name, decided))
    return teeth.conclude(rows, unplanted.counts, by_case=False)


def _run(
    box: OracleBox,
    suite: Suite,
    rules: ProjectRules,
    build: Built | None,
    *,
    on_main: Collection[str] = (),
    with_plain: bool = False,
) -> Verdict:
    command = suite.command or ""
    if build is not None and build.exit != 0:
        return rules.judge(suite, None, build=build, on_main=on_main)
    planted, sabotaged = _hatch(suite, rules), None
    if planted and rules.canary_apart(suite):
        ended = box.project(suite, command)
        sabotaged = box.project(suite, command, planted) if ended and ended.exit == 0 else None
    else:
        ended = box.project(
            suite, command, planted, rules.altered(suite, on_main, secrets.token_hex(SECRET_BYTES))
        )
    judge = functools.partial(
        rules.judge, suite, ended, build=build, planted=planted, sabotaged=sabotaged, on_main=on_main
    )
    judged = judge()
    if ended is None:
        return judged
    last_end = ended
    if with_plain and planted and judged.status != verdict.BROKEN and rules.says_more(suite, ended):
        explained = rules.is_explained(suite, judged.outcomes)
        plain = ended if explained else _plain(box, suite, rules)
        judged, last_end = judge(plain=PlainRun(plain)), plain or ended
    return replace(
        judged,
        run_ms=round(ended.took_s * 1000),
        timed_out_s=suite.run_timeout_s if ended.timed_out else 0,
        log="" if judged.status == verdict.PASSED else excerpt.log(last_end.output, last_end.error),
    )


def _plain(box: OracleBox, suite: Suite, rules: ProjectRules) -> CommandResult | None:
    """Run the command without canaries, as often as needed to be believed; return how it ended last."""
    ended = None
    for _ in range(PLAIN_RUNS_MAX):
        ended = box.project(suite, suite.command or "")
        if rules.is_believed(suite, ended):
            break
    return ended


def _hatch(suite: Suite, rules: ProjectRules) -> Canary | None:
    return rules.hatch(suite, secrets.token_hex(SECRET_BYTES))


def rewritten(tree: bytes, written: Mapping[str, str]) -> bytes:
    """Return the tree with some of its files written anew. How many those are has no limit, so that they come
    to a box as the tree does, and in no argument.
    """
    packed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(tree)) as archive,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as changed,
    ):
        for entry in archive:
            text = written.get(entry.name) if entry.isfile() else None
            content = archive.extractfile(entry) if text is None else io.BytesIO(text.encode())
            if text is not None:
                entry.size = len(text.encode())
            changed.addfile(entry, content)
    return packed.getvalue()


def _files(tree: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(tree)) as archive:
        return [entry.name for entry in archive if entry.isfile()]
