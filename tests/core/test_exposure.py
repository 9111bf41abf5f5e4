"""What `harness doctor` says of a suite: in how far the code that it tests could fool it."""

import pytest

from oracle.cases.spec import Suite
from oracle.suites import kinds
from oracle.suites.command import steering

COMMAND = Suite("unit", "command", "app", command="make test", protect=steering.PROTECTED)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "could leave with exit status 0"),
        ({"results": "tap"}, "could write its own results"),
        ({"results": "pytest", "canary": "none"}, "could write its own results"),
        (
            {"results": "pytest", "canary": "tests/test_{name}.py"},
            "each run carries canaries; code under test that knows its tests by name could",
        ),
        (
            {"results": "pytest", "canary": "tests/test_{name}.py", "command": "pytest -rA && ruff check"},
            "'&&' in its command stands beside the tests or around them, so it also runs without canaries",
        ),
        ({"results": "tap", "canary": "tests/test_{name}.py"}, "all canaries of these results are of one"),
        ({"kind": "differential"}, "gains nothing by forging"),
    ],
)
def test_a_suite_that_tested_code_can_fool_is_told(changes, says):
    values = {name: value for name, value in (COMMAND.to_json() | changes).items() if value is not None}
    suite = Suite.from_json(values)
    assert says in kinds.of(suite).exposure(suite)
