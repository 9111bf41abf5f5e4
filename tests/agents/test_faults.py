"""What goes wrong with the real programs: each session's end has its right name, the others go on, and no
work is lost.
"""

import contextlib
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.boxes import sandbox
from harness.boxes.containers import BoxBroke, Engine
from harness.images.stock import Images
from tests.fake_models import FOR_EVER, Fault, Script, Step

from .letters import KINDS, LETTERS, agent, script, short
from .place import Place, place, wait_until

pytestmark = [pytest.mark.agents, pytest.mark.timeout(1200)]

LETTER = dict(zip(KINDS, LETTERS, strict=False))
VENDORS = ("claude", "codex", "gemini")
HELD_S = 50.0  # how long a model keeps an agent in mid-session, where a test has something to do meanwhile
SPENT = {
    "claude": Fault(400, body={"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."}}),
    "codex": Fault(429, body={"error": {"message": "You exceeded your current quota, please check your plan and billing details.", "type": "insufficient_quota", "param": None, "code": "insufficient_quota"}}),
    "gemini": Fault(429, body={"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "You exceeded your current quota.", "details": [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "40000s"}]}}),
}  # fmt: skip


def run_of(root: Path, kinds: tuple[str, ...], steps: Callable[[str], tuple[Step, ...]], **more: str):
    """One agent of each kind; `more`: lines of their tables by kind."""
    scripts = [script(f"{kind}-1", steps(kind)) for kind in kinds]
    return place(
        root,
        scripts,
        "".join(agent(kind, more=more.get(kind, "")) for kind in kinds),
        [LETTER[kind] for kind in kinds],
    )


def ends(here: Place, name: str) -> list[tuple[str, str]]:
    """How the agent's sessions have ended, in order: outcome and detail."""
    return [
        (event["data"]["outcome"], event["data"]["detail"])
        for event in here.events("session_ended")
        if event["agent"] == name
    ]


def done(here: Place) -> int:
    return here.status()["tasks"]["done"]


def landed_once_each(here: Place, letters: list[str]) -> bool:
    landed = sorted(event["task"] for event in here.events("landed"))
    return landed == sorted(letter.upper() for letter in letters) and {
        f"letters/{letter}/map" for letter in letters
    } <= set(here.landed_files().split())


def test_a_server_that_is_killed_in_mid_session_costs_no_agent_its_work(tmp_path: Path) -> None:
    held = Fault(delay=HELD_S)
    with (
        run_of(tmp_path, KINDS, lambda kind: short(LETTER[kind], sessions=3, faults=(held,))) as here,
        here.running("--stay"),
    ):
        wait_until(lambda: here.is_up() and len(here.events("lease_granted")) == len(KINDS))
        os.kill(json.loads(here.state.server_file.read_text())["pid"], signal.SIGKILL)
        wait_until(lambda: done(here) == len(KINDS))
        assert landed_once_each(here, [LETTER[kind] for kind in KINDS])
        assert here.harness("audit", "verify").returncode == 0


@pytest.mark.parametrize("headers", [{"retry-after": "1"}, {}], ids=["with Retry-After", "without"])
def test_a_rate_limit_is_waited_out_inside_the_session(headers: dict[str, str], tmp_path: Path) -> None:
    limited = Fault(429, headers=headers, tries=2)
    with run_of(tmp_path, VENDORS, lambda kind: short(LETTER[kind], faults=(limited,))) as here:
        here.up_until(lambda: all(ends(here, f"{kind}-1") for kind in VENDORS))
        assert {kind: ends(here, f"{kind}-1")[0][0] for kind in VENDORS} == dict.fromkeys(VENDORS, "worked")
        assert landed_once_each(here, [LETTER[kind] for kind in VENDORS])
        assert sum(turn.answered == "fault" for turn in here.models.requests) == 2 * len(VENDORS)


def test_a_stream_that_is_cut_costs_no_work(tmp_path: Path) -> None:
    cut = Fault(cut=True, after=2)
    with run_of(tmp_path, KINDS, lambda kind: short(LETTER[kind], sessions=2, faults=(cut,))) as here:
        here.up_until(lambda: done(here) == len(KINDS) and all(ends(here, f"{kind}-1") for kind in KINDS))
        told = {kind: ends(here, f"{kind}-1")[0] for kind in KINDS}
        assert {outcome for outcome, _ in told.values()} <= {"worked", "crashed"}, (
            told
        )  # who does not ask again gives up
        assert landed_once_each(here, [LETTER[kind] for kind in KINDS])


def test_a_vendors_spent_quota_ends_the_session_and_waits_while_the_others_go_on(tmp_path: Path) -> None:
    scripts = [
        Script(match=f"You are {kind}-1,", turns="any", faults=(fault_for_ever(SPENT[kind]),))
        for kind in VENDORS
    ]
    scripts.append(script("qwen-1", short(LETTER["qwen"])))
    agents = "".join(agent(kind) for kind in VENDORS) + agent("qwen", more='account = "paid"')
    with place(tmp_path, scripts, agents, LETTER["qwen"], extra_accounts=[("paid", "openai")]) as here:
        here.up_until(lambda: done(here) == 1 and all(ends(here, f"{kind}-1") for kind in (*VENDORS, "qwen")))
        told = {kind: ends(here, f"{kind}-1") for kind in VENDORS}
        assert {kind: [outcome for outcome, _ in told[kind]] for kind in VENDORS} == {
            kind: ["quota"] for kind in VENDORS
        }, told
        assert ends(here, "qwen-1")[0][0] == "worked"


def fault_for_ever(fault: Fault) -> Fault:
    return Fault(fault.status, body=fault.body, tries=FOR_EVER)


def held_before_its_push(kind: str) -> tuple[Step, ...]:
    """Its work is on the server, and its model takes HELD_S to say what comes next: in the first session, not
    in the second.
    """
    claim, work, push = short(LETTER[kind], sessions=2)
    return claim, work, Step(push.say, push.calls, faults=(Fault(delay=HELD_S),))


def test_a_program_that_is_killed_leaves_its_commits_to_its_next_session(
    engine: Engine, tmp_path: Path
) -> None:
    with run_of(tmp_path, KINDS, held_before_its_push) as here, here.running("--stay"):
        signal_each(engine, here, KINDS, signal.SIGKILL)
        wait_until(
            lambda: done(here) == len(KINDS) and all(len(ends(here, f"{kind}-1")) > 1 for kind in KINDS)
        )
        first = {kind: ends(here, f"{kind}-1")[0] for kind in KINDS}
        assert {outcome for outcome, _ in first.values()} == {"crashed"}, first
        assert all("137" in detail for _, detail in first.values()), first
        assert landed_once_each(here, [LETTER[kind] for kind in KINDS])
        again = [
            turn
            for turn in here.models.turns
            if turn.asked and turn.asked.step == 1 and SALVAGE in turn.asked.text.replace("\\", "")
        ]
        assert len(again) >= len(KINDS), "a next session was not told what its predecessor left"


SALVAGE = '"salvage":{'
# Every process of the session but the sandbox's own: its entry (pid 1) and the forwarder.
SIGNAL = """
import os, sys
for pid in filter(str.isdigit, os.listdir("/proc")):
    if int(pid) not in (1, os.getpid()) and b"forwarder.py" not in open(f"/proc/{pid}/cmdline", "rb").read():
        os.kill(int(pid), int(sys.argv[1]))
"""


def signal_each(engine: Engine, here: Place, kinds: tuple[str, ...], number: int) -> None:
    """Sends the signal to the programs of each agent as soon as its work has come to the server."""
    left = {f"{kind}-1" for kind in kinds}

    def sent() -> bool:
        for name in left & {ref.split("/")[2] for ref in here.refs() if ref.startswith("refs/agents/")}:
            (found,) = engine.list(
                {sandbox.RUN: here.state.label, sandbox.KIND: "agent", sandbox.AGENT: name}
            )
            box = engine.find(found.name)
            assert box is not None
            with contextlib.suppress(BoxBroke):  # its end may come before the answer
                box.exec(["python3", "-c", SIGNAL, str(int(number))], timeout_s=60)
            left.discard(name)
        return not left

    wait_until(lambda: here.is_up() and sent())


def test_a_program_that_only_asks_or_only_talks_is_stopped_with_the_reason(tmp_path: Path) -> None:
    ending = dict.fromkeys(VENDORS, "Shall I use tabs or spaces?") | {"qwen": "I am thinking about it."}
    scripts = [Script(match=f"You are {kind}-1,", end=text) for kind, text in ending.items()]
    with place(tmp_path, scripts, "".join(agent(kind) for kind in ending), LETTERS) as here:
        here.up_until(
            lambda: "stopped: " in here.told() and all(len(ends(here, f"{kind}-1")) >= 3 for kind in ending)
        )
        for kind, text in ending.items():
            named = "asked" if text.endswith("?") else "idle"
            assert [outcome for outcome, _ in ends(here, f"{kind}-1")] == [named] * 3
        assert all(
            "spaces?" in detail for kind in VENDORS for _, detail in ends(here, f"{kind}-1")
        )  # gemini tells its text in pieces
        assert "3 sessions in a row ended the same way: asked: Shall I use tabs or spaces?" in here.told()
        assert here.events("lease_granted") == []


def test_a_program_that_hangs_is_ended_and_its_commits_are_its_next_sessions(
    engine: Engine, tmp_path: Path
) -> None:
    with (
        run_of(tmp_path, VENDORS, held_before_its_push, **dict.fromkeys(VENDORS, "idle_minutes = 1")) as here,
        here.running("--stay"),
    ):
        signal_each(engine, here, VENDORS, signal.SIGSTOP)
        wait_until(lambda: done(here) == len(VENDORS))
        told = {kind: ends(here, f"{kind}-1")[0] for kind in VENDORS}
        assert {outcome for outcome, _ in told.values()} == {"idle"}, told
        assert landed_once_each(here, [LETTER[kind] for kind in VENDORS])


def test_a_missing_program_stops_its_agent_and_no_other(engine: Engine, tmp_path: Path) -> None:
    base = f'image = "{Images(engine).ensure("base")}"'
    with (
        run_of(tmp_path, ("claude", "codex"), lambda kind: short(LETTER[kind]), claude=base) as here,
        here.running("--stay"),
    ):
        wait_until(lambda: here.is_up() and done(here) == 1)
        assert ends(here, "claude-1") == []
        assert "claude: not found in the image" in here.harness("status").stdout


def test_a_program_whose_token_is_refused_is_seen_at_once(image: Callable[..., str], tmp_path: Path) -> None:
    wrong = {kind: image(kind, "stranger", "export HARNESS_TOKEN=nobody") for kind in KINDS}
    # codex stops by itself; opencode asks its model with the same token; the others would go on without our
    # tools.
    named = {
        "claude": "no_tools",
        "codex": "crashed",
        "gemini": "no_tools",
        "opencode": "auth",
        "qwen": "no_tools",
    }
    with run_of(tmp_path, KINDS, lambda kind: short(LETTER[kind], sessions=9), **wrong) as here:
        here.up_until(lambda: all(ends(here, f"{kind}-1") for kind in KINDS))
        assert {kind: ends(here, f"{kind}-1")[0][0] for kind in KINDS} == named
        assert here.events("landed") == []
