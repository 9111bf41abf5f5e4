"""How sessions end and what follows, with a real server and real boxes: tools never seen, silence, budgets,
spent accounts, a preflight that fails.
"""

import shlex
from pathlib import Path

import pytest

from mcp_server.wire.sessions import Doing
from tests.fake_models import FOR_EVER, Fault, Script, Step, Usage
from tests.gateway.place import asking
from tests.server import toy
from tests.waiting import until

from .conftest import agent

pytestmark = [pytest.mark.containers, pytest.mark.slow, pytest.mark.timeout(900)]

INSIDE = Path(__file__).with_name("inside.py").read_text()
SPEND = Script((Step("done", usage=Usage(input=1000, output=100)),), turns="any")
WORK = """
fence = tool("claim_task")["fence"]
sh("echo mine >shout/mine; git add -A; git commit -qm mine; echo more >shout/more")
"""


def python(lines: str) -> str:
    return f"exec python3 -c {shlex.quote(INSIDE + lines)}"


def test_a_session_that_never_lists_our_tools_ends_and_the_others_go_on(crew) -> None:
    with crew() as made:
        deaf = agent("deaf", "echo here I am; sleep 600", tools_seconds=2)
        hears = agent(
            "hears", python("mcp('tools/list'); tool('claim_task'); sh('sleep 600')"), tools_seconds=60
        )
        made.hire(deaf, hears)
        until(lambda: made.state("deaf-1").state is Doing.STOPPED)
        said = "it never listed our tools within 2 s: is its MCP configuration right?"
        assert made.ends("deaf-1") == [("no_tools", said)] * 3
        assert made.state("deaf-1").reason == f"3 sessions in a row ended the same way: no_tools: {said}"
        assert (made.state("hears-1").state, made.ends("hears-1")) == (Doing.WORKING, [])


def test_a_session_in_which_nothing_happens_any_more_ends_idle_with_its_work_saved(crew) -> None:
    with crew() as made:
        made.hire(agent("mute", python(WORK + "sh('sleep 600')"), idle_minutes=10 / 60))
        until(lambda: made.ends("mute-1"))
        assert made.ends("mute-1")[0] == ("idle", "no output, tool call or model request for 0.167 minutes")
        [lost] = [event for event in made.place.server.events(kind="lease_ended") if event["fence"] == 1]
        files = toy.git(
            "ls-tree", "-r", "--name-only", lost["data"]["salvage"], cwd=made.site.state / "repos/toy.git"
        )
        assert {"shout/mine", "shout/more"} <= set(files.splitlines())


def test_what_it_prints_calls_or_asks_keeps_a_session_alive(crew) -> None:
    talks = "import time\nfor _ in range(24):\n    print('tick', flush=True); time.sleep(.5)"
    calls = "import time\nfor _ in range(24):\n    mcp('tools/call', name='list_tasks', arguments={}); time.sleep(.5)"
    asks = "import time\nfor _ in range(24):\n    ask(); time.sleep(.5)"
    with crew(SPEND) as made:
        made.hire(
            *(
                agent(name, python(lines), idle_minutes=10 / 60)
                for name, lines in (("talks", talks), ("calls", calls), ("asks", asks))
            )
        )
        for name in ("talks-1", "calls-1", "asks-1"):
            until(lambda name=name: made.ends(name))
            assert "no output" not in made.ends(name)[0][1]


def test_a_session_over_its_budget_is_ended_its_work_saved_and_its_task_given_back_with_the_reason(
    crew,
) -> None:
    with crew(SPEND, gateway="[gateway.budget.session]\ntokens = 1000") as made:
        made.hire(agent("rich", python(WORK + "ask()\nsh('sleep 600')")))
        until(lambda: made.ends("rich-1"))
        named, detail = made.ends("rich-1")[0]
        assert (named, detail[:62]) == (
            "budget",
            "1,100 tokens of 1,000 tokens of the session S1 are used up: st",
        )
        first = made.place.server.events(kind="lease_ended")[0]
        assert (first["fence"], first["data"]["reason"]) == (1, "budget")
        files = toy.git(
            "ls-tree", "-r", "--name-only", first["data"]["salvage"], cwd=made.site.state / "repos/toy.git"
        )
        assert {"shout/mine", "shout/more"} <= set(files.splitlines())
        back = next(
            event
            for event in made.place.server.events(kind="task_state", task=first["task"])
            if event["data"]["reason"]
        )
        assert (back["data"]["state"], back["data"]["reason"][:7]) == ("open", "budget:")
        until(lambda: made.state("rich-1").sessions == 2)  # the next session has a budget of its own


def test_an_agent_over_its_own_budget_stops_with_the_reason(crew) -> None:
    with crew(SPEND, gateway="[gateway.budget.agent]\ntokens = 1000") as made:
        made.hire(agent("rich", python("tool('claim_task'); ask(); sh('sleep 600')")))
        until(lambda: made.state("rich-1").state is Doing.STOPPED)
        assert made.state("rich-1").reason.startswith(
            "budget: 1,100 tokens of 1,000 tokens of the agent rich-1 are used up"
        )
        assert (len(made.ends("rich-1")), made.state("rich-1").gave_up) == (1, True)


SPENT = {
    "type": "error",
    "error": {
        "type": "invalid_request_error",
        "message": "Your credit balance is too low to access the Anthropic API.",
    },
}


def test_a_spent_account_holds_its_agents_until_the_reset_and_no_other(crew) -> None:
    script = Script(faults=(Fault(status=400, body=SPENT, tries=FOR_EVER),), turns="any")
    with crew(script) as made:
        poor = agent(
            "poor",
            python("tool('claim_task', task='T02'); leave(0 if ask() == 200 else 1)"),
            account="anthropic",
        )
        late = agent("late", python("tool('list_tasks')"), account="anthropic", role="reviewer")
        other = agent("other", python("tool('claim_task', task='T01'); sh('sleep 600')"), account="openai")
        made.hire(poor, late, other)
        until(lambda: made.state("poor-1").state is Doing.WAITING)
        assert made.ends("poor-1")[0][0] == "quota"
        assert made.state("poor-1").reason.startswith("waiting for quota until 20")
        [account] = [one for one in made.client.status().accounts if one.state == "closed"]
        assert account.account == "anthropic"
        until(lambda: made.state("other-1").state is Doing.WORKING)
        made.supervisor.stop()
        assert made.state("poor-1").sessions == 1


def test_an_agent_of_a_spent_account_begins_no_session_at_all(crew) -> None:
    script = Script(faults=(Fault(status=400, body=SPENT, tries=FOR_EVER),), turns="any")
    with crew(script) as made:
        made.place.ask(made.place.agent("someone"), asking("messages", stream=False))
        made.hire(
            agent("poor", "sleep 600", account="anthropic"), agent("free", "sleep 600", account="openai")
        )
        until(
            lambda: (
                made.state("free-1").state is Doing.WORKING and made.state("poor-1").state is Doing.WAITING
            ),
        )
        assert made.state("poor-1").reason.startswith("waiting for quota until 20")
        assert made.place.server.events(kind="session_started", agent="poor-1") == []


def test_an_agent_waits_without_a_session_while_no_task_is_free(crew) -> None:
    with crew() as made:
        holders = {task: made.place.agent(f"holder-of-{task}") for task in ("T01", "T02")}
        for task, holder in holders.items():
            assert holder.call("claim_task", task=task)["status"] == "leased"
        made.hire(agent("eager", python("tool('claim_task')\nsh('sleep 600')")))
        until(lambda: made.state("eager-1").state is Doing.WAITING)
        assert (made.state("eager-1").reason, made.state("eager-1").sessions) == ("no task is free now", 0)
        made.client.end_session(holders["T02"].session, "worked")
        until(lambda: made.state("eager-1").state is Doing.WORKING)


def test_what_a_session_printed_is_counted_by_kind_in_its_end(crew) -> None:
    with crew() as made:
        made.hire(agent("loud", "echo one; echo two; exit 1"))
        until(lambda: made.ends("loud-1"))
        heard = made.place.server.events(kind="session_ended", agent="loud-1")[0]["data"]["heard"]
        assert heard["said"] >= 5  # the two lines, and what the sandbox says of itself
        assert made.state("loud-1").said
