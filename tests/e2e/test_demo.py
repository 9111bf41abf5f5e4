"""The whole product at once: six agents in containers build minisql, and every promise of the report is held."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS_MAX = 420  # a bound against hanging, not a claim: the demo's own limit is stated and printed by it
REFUSALS = {
    "held",
    "overlap",
    "outside_module",
    "oracle_failed",
    "regression",
    "stale_fence",
    "protected_ref",
}
INCIDENTS = {
    "claim race",
    "overlap",
    "outside module",
    "oracle failed, then fixed",
    "regression on the merged commit",
    "killed and resumed",
    "stale fence",
    "direct push to main",
}


@pytest.mark.e2e
@pytest.mark.containers
@pytest.mark.slow
@pytest.mark.timeout(SECONDS_MAX + 60)
def test_six_agents_build_minisql_and_nothing_is_red_lost_or_left_behind(tmp_path: Path):
    report = tmp_path / "report.json"
    ran = subprocess.run(
        [sys.executable, "-m", "harness", "demo", "--report", str(report)],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    told = json.loads(report.read_text())
    assert told["red_commits"] == told["coordination_commits"] == told["containers_left"] == 0
    assert told["audit_ok"] is True
    assert told["cases_start"] < 10 < 300 <= told["cases_end"] == told["cases_total"]
    assert told["tasks_done"] == told["landed"] == 18
    assert 0 < told["work_commits"] <= 18, "several changes that were tested together are one commit on main"
    assert set(told["refused"]) >= REFUSALS
    assert set(told["incidents"]) == INCIDENTS
    assert all(headline in ran.stdout for headline in INCIDENTS)
