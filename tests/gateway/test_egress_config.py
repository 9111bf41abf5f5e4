"""[egress] in harness.toml: one spelling, known agents, and every mistake told with its line."""

import pytest

from mcp_server import config
from mcp_server.config import Egress

BASE = """[run]
name = "toy"
[repos.toy]
[modules.all]
paths = ["**"]
[oracle.words]
kind = "command"
command = "true"
[agents.worker]
kind = "command"
count = 2
command = ["true"]
[agents.other]
kind = "command"
command = ["true"]
"""


def read(section: str) -> config.Config | list:
    return config.parse(BASE + section, {})


def told(section: str) -> list[tuple[int, str]]:
    found = read(section)
    assert isinstance(found, list)
    first = BASE.count("\n")
    return [(problem.line - first, f"{problem.message} ({problem.suggestion})") for problem in found]


def test_without_the_section_nothing_may_leave():
    found = read("")
    assert isinstance(found, config.Config) and found.egress == Egress()


def test_places_and_agents_come_out_in_one_spelling():
    found = read(
        '[egress]\nallow = ["Packages.Example.:443", "bücher.example:8443"]\nprivate = ["BÜCHER.example:8443"]\nagents = ["worker", "other-1", "worker-2"]\n'
    )
    assert isinstance(found, config.Config), found
    places = ("packages.example:443", "xn--bcher-kva.example:8443")
    assert found.egress == Egress(places, places[1:], ("worker-1", "worker-2", "other-1"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('allow = ["127.0.0.1:443"]', "egress.allow: '127.0.0.1:443': addresses are not taken, only names"),
        ('allow = ["*.example:443"]', "each name stands for itself alone"),
        ('allow = ["packages.example"]', "it needs a port"),
        ('allow = ["https://packages.example"]', 'such as "packages.example:443"'),
        ('private = ["packages.example:443"]', "is not in egress.allow (add it there)"),
        ("allow = 443", "egress.allow must be a list of strings"),
        ('permit = ["packages.example:443"]', "unknown key egress.permit"),
    ],
)
def test_each_mistake_is_told_with_its_line(line: str, said: str):
    ((number, message),) = told(f'[egress]\nagents = ["worker"]\n{line}\n')
    assert number == 3 and said in message


def test_agents_must_exist_and_places_must_be_for_somebody():
    assert told('[egress]\nagents = ["worker", "wroker"]\n') == [
        (2, "egress.agents: there is no agent 'wroker' (did you mean 'worker'?)")
    ]
    ((number, message),) = told('[egress]\nallow = ["packages.example:443"]\n')
    assert number == 2 and "names nobody" in message
    ((_, message),) = told("egress = 1\n".replace("egress", "[[egress]]\nx"))
    assert "egress must be a table" in message
