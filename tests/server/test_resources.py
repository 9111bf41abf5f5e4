"""What a client without git can read: main's files and listings in both eras, and nothing that a clone would
not have.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp import Client, MCPError

from . import toy
from .conftest import Agent, Server
from .test_tools import in_client

HELD_OUT = toy.TOML.replace(
    'protect = ["oracle/**"', 'held_out = ["secret/**/*.txt"]\nprotect = ["oracle/**"'
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("resources")
    project = toy.project(root / "project", HELD_OUT)
    (project / "secret").mkdir()
    (project / "secret" / "hidden.txt").write_text("never to be seen\n")
    (project / "shout" / "picture.bin").write_bytes(b"\x89PNG\0\xff")
    (project / "shout" / "latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    (project / "shout" / "long.txt").write_text("0123456789\n" * 20_000)
    (project / "shout" / "a file with spaces % and ü.txt").write_text("odd\n")
    (project / "shout" / "link").symlink_to("README")
    (project / "untracked").write_text("not main's\n")
    toy.git("add", "shout", cwd=project)
    toy.git("commit", "-qm", "more", cwd=project)
    made = Server(project, root / "state")
    yield made
    made.stop()


def asked(agent: Agent, act):
    """As `in_client`; a protocol error is caught inside, where the client's task group has not wrapped it,
    and is the value.
    """

    async def caught(client: Client):
        try:
            return await act(client)
        except MCPError as error:
            return error

    return in_client(agent, caught)


def read(agent: Agent, uri: str) -> str:
    told = asked(agent, lambda client: client.read_resource(uri))
    if isinstance(told, MCPError):
        raise told
    return told.contents[0].text


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_client_finds_its_way_from_the_top_to_a_file(server: Server, mode: str):
    one = server.agent(f"reader-{mode}")
    one.mode = mode
    assert [resource.uri for resource in asked(one, lambda client: client.list_resources()).resources] == [
        "harness://toy/"
    ]
    templates = asked(one, lambda client: client.list_resource_templates()).resource_templates
    assert {template.uri_template for template in templates} == {
        "harness://{repo}/{+path}",
        "harness-report://{task}",
    }
    assert all(template.description for template in templates)
    top = read(one, "harness://toy/").split("\n")
    assert {"main.sh", "shout/", "oracle/", "harness.toml"} <= set(top) and "untracked" not in top
    assert read(one, "harness://toy/shout/") == read(one, "harness://toy/shout")
    assert "README" in read(one, "harness://toy/shout/").split("\n")
    assert read(one, "harness://toy/shout/README") == "shout\n"
    assert read(one, "harness://toy/shout/a%20file%20with%20spaces%20%25%20and%20%C3%BC.txt") == "odd\n"


def test_what_is_read_is_main_and_no_upload(server: Server, tmp_path: Path):
    one = server.agent("writer")
    one.call("claim_task", task="T01")
    one.commit(one.clone(tmp_path / "one"), {"shout/README": "mine\n", "shout/new": "mine\n"})
    assert read(one, "harness://toy/shout/README") == "shout\n"
    with pytest.raises(MCPError, match="lists what there is"):
        read(one, "harness://toy/shout/new")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("picture.bin", "binary file of 6 bytes"),
        ("latin.txt", "binary file of 4 bytes"),
        ("link", "symbolic link to README"),
        ("long.txt", "(120000 characters cut)"),
    ],
)
def test_what_is_no_short_text_is_told(server: Server, name: str, said: str):
    text = read(server.agent("looker"), f"harness://toy/shout/{name}")
    assert said in text and len(text) < 100_100


@pytest.mark.parametrize(
    "uri",
    [
        "harness://toy/secret/hidden.txt",
        "harness://toy/secret/",
        "harness://toy/untracked",
        "harness://toy/../state/tokens/admin",
        "harness://toy/shout/../../state/state.db",
        "harness://toy/shout/%2e%2e/%2e%2e/state/state.db",
        "harness://toy//etc/passwd",
        "harness://toy/%2Fetc%2Fpasswd",
        "harness://toy/shout/README%00",
        "harness://toy/HEAD:shout/README",
        "harness://toy/.git/config",
        "harness://nowhere/main.sh",
        "harness://../toy.git/config",
        "harness-report://T01",
        "file:///etc/passwd",
    ],
)
def test_nothing_else_can_be_read(server: Server, uri: str):
    with pytest.raises(MCPError) as no:
        read(server.agent("intruder"), uri)
    assert "never to be seen" not in str(no.value) and str(server.state) not in str(no.value)


def test_every_read_is_logged_and_keeps_the_lease(server: Server):
    one = server.agent("watched")
    fence = one.call("claim_task", task="T02")["fence"]
    server.clock.ahead_ms += 50_000
    read(one, "harness://toy/count/README")
    server.clock.ahead_ms += 50_000
    with pytest.raises(MCPError):
        read(one, "harness://toy/none")
    calls = [
        event["data"]
        for event in server.events(kind="tool_call", agent="watched")
        if event["data"]["tool"] == "resources/read"
    ]
    assert [(call["args"]["uri"], call["status"]) for call in calls] == [
        ("harness://toy/count/README", "ok"),
        ("harness://toy/none", "refused"),
    ]
    assert one.call("claim_task")["fence"] == fence
