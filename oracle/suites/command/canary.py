"""Owns the canaries of a command suite: two tests under random names, of which one must fail and one must
pass.

Rule: where tested code shares a process with its tests, a run is worth what its canaries show: missing or
wrong, and no test of that run counts. They are in the box's own copy of the tree only, and in no outcome.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from oracle.cases.spec import Suite
from oracle.suites.command.readers import TestReport

NONE = "none"  # canary = "none" says openly that there is none
NAME = "{name}"
ENGINE = "canary"  # the row of a check that tells whether the suite's canary is seen at all
NEEDS = ("pytest", "cargo", "go")  # and a JUnit file: results in which tests have names
TEXTS: Mapping[str, str] = {
    ".py": """\
import unittest


class Test{name}(unittest.TestCase):
    def test_{passes}(self):
        self.assertEqual("{passes}".upper().lower(), "{passes}")

    def test_{fails}(self):
        self.assertEqual("{fails}".upper().lower(), "{passes}")
""",
    ".rs": """\
#[test]
fn test_{passes}() {
    assert_eq!("{passes}".to_uppercase().to_lowercase(), "{passes}");
}

#[test]
fn test_{fails}() {
    assert_eq!("{fails}".to_uppercase().to_lowercase(), "{passes}");
}
""",
    ".go": """\
package canary

import (
	"strings"
	"testing"
)

func Test_{passes}(t *testing.T) {
	if strings.ToLower(strings.ToUpper("{passes}")) != "{passes}" {
		t.Fatal("{passes}")
	}
}

func Test_{fails}(t *testing.T) {
	if strings.ToLower(strings.ToUpper("{fails}")) != "{passes}" {
		t.Fatal("{fails}")
	}
}
""",
}
USUAL = {
    ".py": "tests/test_{name}.py",
    ".rs": "tests/canary_{name}.rs",
    ".go": "canary_{name}/canary_test.go",
}


@dataclass(frozen=True)
class Canary:
    """One file to plant, and the names by which its two tests are known."""

    path: str
    text: str
    passes: str
    fails: str


def has(suite: Suite) -> bool:
    return suite.canary not in (None, NONE)


def hatch(suite: Suite, secret: str) -> Canary | None:
    """The canary of one run, its names made from a `secret` that nobody could know before; None where the
    suite has none.
    """
    if suite.canary is None or not has(suite):
        return None
    names = {key: _word(f"{key} {secret}") for key in ("name", "passes", "fails")}
    text = suite.canary_text or TEXTS[PurePosixPath(suite.canary).suffix]
    return Canary(_filled(suite.canary, names), _filled(text, names), names["passes"], names["fails"])


def _word(text: str) -> str:
    """Lower-case letters: a word that no language takes for a number."""
    return hashlib.sha256(text.encode()).hexdigest()[:16].translate(str.maketrans("0123456789", "ghijklmnop"))


def _filled(text: str, names: Mapping[str, str]) -> str:
    return re.sub(r"\{(name|passes|fails)\}", lambda found: names[found[1]], text)


def is_needed(suite: Suite) -> bool:
    """Whether the suite has results that canaries would show in, and does not say what it does about them."""
    return suite.kind == "command" and suite.canary is None and suite.results not in (None, "tap")


def usual(suite: Suite) -> str:
    """Where the canary of such a suite is likely to be found by its command."""
    words = f"{suite.results} {suite.command}"
    suffix = ".rs" if "cargo" in words else ".go" if re.search(r"\bgo\b", words) else ".py"
    return USUAL[suffix]


def problems(suite: Suite) -> list[str]:
    """What makes the suite's canary impossible to plant, one sentence each."""
    if suite.canary is None or not has(suite):
        return ["canary_text is given without canary"] if suite.canary_text else []
    if suite.kind != "command":
        return [f"canary is for command suites; in a {suite.kind} suite forged answers gain nothing"]
    found, path = [], PurePosixPath(suite.canary)
    if NAME not in suite.canary:
        found.append(f'canary is {suite.canary!r}; it needs {NAME} in it, such as "tests/test_{NAME}.py"')
    if path.is_absolute() or ".." in path.parts or "\\" in suite.canary:
        found.append(f"canary is {suite.canary!r}; it must be a path below the repository's top")
    if suite.canary_text is None and path.suffix not in TEXTS:
        found.append(
            f"canary ends in {path.suffix!r}; for anything but {', '.join(TEXTS)} canary_text says what the file holds"
        )
    for word in ("{passes}", "{fails}") if suite.canary_text is not None else ():
        if word not in suite.canary_text:
            found.append(f"canary_text has no {word}: it needs a test of that name that {word[1:-1]}")
    return found


def take_out(told: TestReport, canary: Canary) -> tuple[TestReport, str]:
    """The same without the canaries, and what is wrong with those: "" when both showed what they must."""
    seen = {
        name: outcome
        for name, outcome in told.outcomes.items()
        if canary.passes in name or canary.fails in name
    }
    passed = [outcome for name, outcome in seen.items() if canary.passes in name]
    failed = [outcome for name, outcome in seen.items() if canary.fails in name]
    rest = {name: outcome for name, outcome in told.outcomes.items() if name not in seen}
    if not seen:
        wrong = "the canary tests that were added to this run did not run"
    elif failed and set(failed) != {"fail"}:
        wrong = "a canary test that must fail was reported as passed"
    elif passed and set(passed) != {"pass"}:
        wrong = "a canary test that must pass was reported as failed"
    elif not passed or not failed:
        wrong = (
            f"of the two canary tests the one that must {'fail' if not failed else 'pass'} was not reported"
        )
    else:
        wrong = ""
    return replace(told, outcomes=rest), wrong
