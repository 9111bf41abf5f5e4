"""One judge: of the same run, run_oracle never says failed where push lands, nor passed where push refuses."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from oracle.judging.contradictions import ContradictionKind

from .gated import Gated, gated

KINDS = [kind.value for kind in ContradictionKind]
ON_MAIN = {"adds": "pass", "draws": "pass", "divides": "fail", "waits": "fail"}
RUNS = 24  # generated: each is a commit, two runs and a push


def verdict(outcomes: dict[str, str], *kinds: str, missing: tuple[str, ...] = ()) -> dict:
    """What a runner says of a run with these outcomes, which says this against itself."""
    is_failed = bool(kinds) or "fail" in outcomes.values()
    against = [{"kind": kind, "words": f"it is so: {kind}"} for kind in kinds]
    return {
        "status": "failed" if is_failed else "passed",
        "outcomes": outcomes,
        "missing": list(missing),
        "contradictions": against,
    }


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gated]:
    """Main fails two of its four tests at first, and says nothing against itself."""
    with gated(tmp_path_factory.mktemp("plain"), verdict(ON_MAIN)) as made:
        yield made


def test_what_run_oracle_says_of_a_run_and_what_push_does_with_it_are_the_same(plain: Gated):
    chance = random.Random(13)
    seen, on_main = set(), dict(ON_MAIN)
    for _ in range(RUNS):
        likely = {"pass": 0.9, "fail": 0.5, "skip": 0.5}
        outcomes = {
            case: "pass" if chance.random() < likely[before] else "fail" for case, before in on_main.items()
        }
        if chance.random() < 0.3:
            outcomes["new"] = chance.choice(["pass", "fail", "skip"])
        kinds = [chance.choice(KINDS)] if chance.random() < 0.3 else []
        decided = plain.decide(verdict(outcomes, *kinds))
        assert (decided.status == "passed") == (decided.state == "landed"), (outcomes, kinds, decided)
        assert decided.answer["suites"]["unit"]["status"] == decided.status
        assert ("refused" in decided.answer) == (decided.status == "failed")
        seen.add((decided.status, bool(kinds)))
        if decided.state == "landed":
            on_main |= outcomes
    assert seen == {("passed", False), ("failed", False), ("failed", True)}, "it is no proof of one answer"


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_says_something_against_itself_is_refused_with_its_words(plain: Gated, kind: str):
    decided = plain.decide(verdict(dict.fromkeys(["adds", "draws", "divides", "waits", "new"], "pass"), kind))
    assert (decided.status, decided.state, decided.code) == ("failed", "refused", "contradicted")
    assert f"it is so: {kind}" in decided.happened
    assert f"it is so: {kind}" in decided.answer["refused"]


def test_what_fails_and_is_not_lost_holds_nothing_up_and_is_told_so(tmp_path: Path):
    with gated(tmp_path, verdict(ON_MAIN)) as made:
        decided = made.decide(verdict(ON_MAIN | {"late": "fail"}))
    assert (decided.status, decided.state) == ("passed", "landed")
    assert "3 cases fail and hold nothing up" in decided.answer["not_lost"]
    assert "unit:late" in decided.answer["not_lost"]


def test_what_mains_own_run_says_against_itself_is_excused_and_nothing_else_is(tmp_path: Path):
    with gated(tmp_path, verdict({"adds": "pass"}, "exit")) as made:
        assert made.decide(verdict({"adds": "pass"}, "exit")).state == "landed"
        refused = made.decide(verdict({"adds": "pass"}, "exit", "signal"))
        assert (refused.code, "signal" in refused.happened, "exit" in refused.happened) == (
            "contradicted",
            True,
            False,
        )
        assert made.decide(verdict({"adds": "pass"})).state == "landed"
        again = made.decide(verdict({"adds": "pass"}, "exit"))
        assert again.code == "contradicted", "a landing without it takes the excuse away"


def test_a_canary_that_failed_is_excused_by_nothing(tmp_path: Path):
    with gated(tmp_path, verdict({"adds": "fail"}, "canary")) as made:
        assert made.decide(verdict({"adds": "fail"}, "canary")).code == "contradicted"
