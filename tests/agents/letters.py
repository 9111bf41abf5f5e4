"""The small project of these tests: twelve modules, each of which teaches a filter one capital letter, and
scripts that do so.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from harness.agents.kinds import PROGRAMS
from tests.fake_models import FOR_EVER, Call, Fault, Script, Step
from tests.server import toy

LETTERS = "abcdefghijkl"
LATE_S = 3600.0
KINDS = tuple(PROGRAMS)
MODELS = {"anthropic": "claude-fake", "openai": "fake-model", "gemini": "gemini-fake"}  # by account
ACCOUNTS = {"anthropic": "", "openai": "/v1", "gemini": ""}
HEAD = """
[run]
name = "letters"
lease_minutes = 10
session_minutes = 20
tools_seconds = 300
port = 0

[repos.letters]
path = "."

[oracle.words]
kind = "differential"
cases = ["oracle/cases/**/*.txt"]
candidate = "sh main.sh"
reference = "tr a-l A-L"
"""
MODULE = """
[modules.{letter}]
repo = "letters"
paths = ["letters/{letter}/**"]
"""
ACCOUNT = """
[gateway.accounts.{name}]
api = "{api}"
base_url = "{url}{path}"
"""
AGENT = """
[agents.{name}]
kind = "{kind}"
count = {count}
model = "{model}"
{more}
"""
MAIN = """FROM=x TO=x
for map in letters/*/map; do [ -f "$map" ] && . "./$map"; done
tr "$FROM" "$TO"
"""
# Each client's own tool for writing a file, where it has one.
WRITERS = {
    "claude": ("Write", "file_path"),
    "gemini": ("write_file", "file_path"),
    "opencode": ("write", "filePath"),
    "qwen": ("write_file", "file_path"),
}
FENCE = {"$int": r"fence\W+(\d+)"}
COMMITTED = {"$text": r"commit ([0-9a-f]{40})"}
COMMIT = "git add -A && git commit -qm '{message}' && git log -1 --format='commit %H'"
TAUGHT = "FROM=${{FROM}}{letter} TO=${{TO}}{capital}"


def config(
    url: str, agents: str, *, extra_accounts: Iterable[tuple[str, str]] = (), gateway: str = ""
) -> str:
    """`extra_accounts`: further names with the API of each; all models are at the URL."""
    accounts = [*((name, name) for name in ACCOUNTS), *extra_accounts]
    tables = "".join(
        ACCOUNT.format(name=name, api=api, url=url, path=ACCOUNTS[api]) for name, api in accounts
    )
    modules = "".join(MODULE.format(letter=letter) for letter in LETTERS)
    return f"{HEAD}{modules}{agents}\n[gateway]\n{gateway}\n{tables}"


def agent(kind: str, *, name: str | None = None, count: int = 1, more: str = "") -> str:
    return AGENT.format(
        name=name or kind, kind=kind, count=count, model=MODELS[PROGRAMS[kind].program.account], more=more
    )


def files(toml: str, tasks_of: Iterable[str]) -> dict[str, str]:
    tasks = {
        f"tasks/{letter}.md": toy.task(
            letter.upper(), letter, title=f"Letter {letter} becomes {letter.upper()}", cases=[f"low/{letter}"]
        )
        for letter in tasks_of
    }
    cases = {f"oracle/cases/low/{letter}.txt": f"{letter * 3}\n" for letter in LETTERS}
    return {
        "harness.toml": toml,
        "main.sh": MAIN,
        "letters/README": "maps\n",
        "oracle/cases/up/one.txt": "XYZ 123\n",
        **cases,
        **tasks,
    }


def script(agent: str, steps: Sequence[Step], **more: Any) -> Script:
    """For the requests of one agent, which its prompt names."""
    return Script(tuple(steps), match=f"You are {agent},", **more)


def taught(letter: str, capital: str) -> str:
    return TAUGHT.format(letter=letter, capital=capital)


def teaching(letter: str, capital: str) -> str:
    """The command that writes, commits and names the commit."""
    return f"mkdir -p letters/{letter} && echo '{taught(letter, capital)}' > letters/{letter}/map && {COMMIT.format(message=f'letter {letter}')}"


def claiming(letter: str, sessions: int) -> Step:
    """The first step of so many sessions; in a later one the model takes its time, so that it is in nobody's
    way.
    """
    late = (Fault(tries=sessions), Fault(delay=LATE_S, tries=FOR_EVER))
    return Step("I take the task.", (Call("claim_task", {"task": letter.upper()}),), faults=late)


def pushing(summary: str) -> Step:
    return Step("I hand it in.", (Call("push", {"fence": FENCE, "commit": COMMITTED, "summary": summary}),))


def short(letter: str, *, sessions: int = 1, **of_work: Any) -> tuple[Step, ...]:
    """Claims, does it right at once and hands it in. `of_work`: what else the step of the work has, faults
    for one.
    """
    work = Step("I write it.", (Call(shell=teaching(letter, letter.upper())),), **of_work)
    return claiming(letter, sessions), work, pushing(f"Letter {letter}")


def whole(letter: str, kind: str) -> tuple[Step, ...]:
    """Claims, writes it wrong with the client's own tool, is told so by the oracle, mends it, and hands it
    in.
    """
    asked = Call("run_oracle", {"fence": FENCE, "commit": COMMITTED})
    return (
        claiming(letter, 1),
        Step("I write the map.", (_writing(kind, letter),)),
        Step("I commit it.", (Call(shell=COMMIT.format(message="map")),)),
        Step("Is it right?", (asked,)),
        Step("It is not: I mend it.", (Call(shell=teaching(letter, letter.upper())),)),
        Step("And now?", (asked,)),
        pushing(f"Letter {letter}"),
    )


def _writing(kind: str, letter: str) -> Call:
    file, wrong = f"letters/{letter}/map", taught(letter, letter)
    if kind not in WRITERS:
        return Call(shell=f"mkdir -p letters/{letter} && echo '{wrong}' > {file}")
    tool, argument = WRITERS[kind]
    return Call(tool, {argument: f"/workspace/letters/{file}", "content": f"{wrong}\n"})


def any_two() -> tuple[Step, ...]:
    """Twice: claims whatever is best, does what its brief says, hands it in."""
    letter, capital = r"<<Letter (\w) becomes>>", r"<<Letter \w becomes (\w)>>"
    one = (
        Step("What is there?", (Call("claim_task"),)),
        Step("I do that.", (Call(shell=teaching(letter, capital)),)),
        pushing("A letter"),
    )
    return one * 2
