"""The official MCP conformance suite against the real server, for every version of the protocol that the
suite knows.
"""

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Running
from .forwarder import Forwarder

pytestmark = [pytest.mark.protocol, pytest.mark.timeout(600)]

VERSIONS = ("2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
LEAST = {
    "2025-03-26": 0,
    "2025-06-18": 30,
    "2025-11-25": 35,
    "2026-07-28": 80,
}  # checks that pass: fewer, and nothing was tested
EXPECTED = tomllib.loads((Path(__file__).parent / "expected.toml").read_text())["expected"]
RUN_S = 550
SCENARIO_MS = 120_000  # the suite's own 30 s are short on a busy machine
Checks = dict[str, str]  # scenario/check -> status


@pytest.fixture
def conformance(programs: Path) -> list[str]:
    return [
        str(programs / ".bin" / "node"),
        str(programs / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"),
    ]


@pytest.fixture
def url(running: Running) -> Iterator[str]:
    token = json.loads(running.told("connect", "conformance", "--json"))["token"]
    forwarder = Forwarder(running.url, token)
    yield f"{forwarder.url}/mcp"
    forwarder.close()


def checks_of(results: Path) -> Checks:
    """Of the files that the suite writes, one directory a scenario. A check that fails once has failed."""
    found: Checks = {}
    for file in sorted(results.glob("server-*/checks.json")):
        scenario = re.sub(r"^server-|-\d{4}-\d\d-\d\dT[\d-]+Z$", "", file.parent.name)
        for check in json.loads(file.read_text()):
            name = f"{scenario}/{check['id']}"
            found[name] = check["status"] if found.get(name) != "FAILURE" else "FAILURE"
    return found


def judged(checks: Checks) -> tuple[set[str], set[str]]:
    """Failures that nobody expected, and expected ones of scenarios that ran which have not failed."""
    failed = {name for name, status in checks.items() if status == "FAILURE"}
    expected = {name for group in EXPECTED for name in group["checks"]}
    ran = {name.partition("/")[0] for name in checks}
    return failed - expected, {name for name in expected - failed if name.partition("/")[0] in ran}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_server_does_as_the_specification_says_or_the_list_says_why_not(
    version: str, conformance: list[str], url: str, tmp_path: Path
):
    argv = [
        *conformance,
        "server",
        "--url",
        url,
        "--suite",
        "all",
        "--spec-version",
        version,
        "--timeout",
        str(SCENARIO_MS),
        "--output-dir",
        str(tmp_path / "out"),
    ]
    done = subprocess.run(
        argv,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert "Total:" in done.stdout, done.stdout[-2_000:] + done.stderr
    checks = checks_of(tmp_path / "out")
    unexpected, stale = judged(checks)
    assert not unexpected, f"fail, and are not in expected.toml: {sorted(unexpected)}"
    assert not stale, f"are in expected.toml, and do not fail: {sorted(stale)}"
    assert list(checks.values()).count("SUCCESS") >= LEAST[version]


def test_every_version_that_the_suite_knows_is_tested(conformance: list[str]):
    listed = subprocess.run(
        [*conformance, "list", "--server"], capture_output=True, text=True, timeout=60, check=False
    ).stdout
    assert set(re.findall(r"\d{4}-\d\d-\d\d", listed)) == set(VERSIONS)


def test_every_expected_failure_has_its_reason_and_is_listed_once():
    names = [name for group in EXPECTED for name in group["checks"]]
    assert len(names) == len(set(names)) and all(group["reason"] for group in EXPECTED)


def test_a_failure_that_is_not_listed_and_a_listed_one_that_passes_are_both_seen():
    listed = EXPECTED[0]["checks"][0]
    assert judged({"ping/ping": "FAILURE", listed: "FAILURE"})[0] == {"ping/ping"}
    assert listed in judged({"ping/ping": "SUCCESS", listed: "SUCCESS"})[1]
    assert judged({"ping/ping": "SUCCESS"}) == (set(), set())
