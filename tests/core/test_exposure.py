"""What `harness doctor` says of a suite: in how far the code that it tests could fool it."""

import pytest

from harness.commands.checkup import exposure
from oracle.cases.spec import Suite
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
        ({"kind": "differential"}, "gains nothing by forging"),
    ],
)
def test_a_suite_that_tested_code_can_fool_is_told(changes, says):
    assert says in exposure(
        Suite.from_json({k: v for k, v in (COMMAND.to_json() | changes).items() if v is not None}),
        ("app/**",),
    )


def test_what_steers_the_tests_and_agents_may_write_is_told():
    open_one = Suite("unit", "command", "app", command="make test", protect=("tests/**", "**/conftest.py"))
    said = exposure(open_one, ("app/**",))
    assert (
        "agents may write what steers it" in said
        and "**/pytest.ini" in said
        and "conftest.py" not in said
        and "harness.toml" not in said
    )
    assert "steers" not in exposure(COMMAND, ("app/**",))
