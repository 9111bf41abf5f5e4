"""An entry goes into a file that is somebody else's: all else stays as it was, or nothing is changed."""

import json
import os
import tomllib
from pathlib import Path

import pytest

from harness.agents.kinds import CLIENTS
from harness.connect import merging, writing
from harness.connect.clients import Door
from harness.failure import VerbFailed

DOOR = Door("alice", "http://127.0.0.1:8765", "hs_secret")
WRITTEN = [client for client in CLIENTS if CLIENTS[client](DOOR).file]
ENTRY = {"url": "http://here"}
CODEX = """\
# mine
model = "o"   # keep this comment

[mcp_servers.other]
command = "x"

[mcp_servers.harness]
url = "http://old"
extra = true

[profiles.a]
model = "p"
"""


@pytest.mark.parametrize("client", WRITTEN)
def test_an_empty_file_is_the_printed_one_and_the_same_again_changes_nothing(client: str):
    setting = CLIENTS[client](DOOR)
    assert setting.merged("") == setting.text == setting.merged(setting.text)


def test_what_else_is_in_a_json_file_stays_in_its_order_and_indentation():
    before = '{\n    "b": 1,\n    "mcpServers": {\n        "other": {"command": "ü"},\n        "harness": {"url": "http://old", "x": 1}\n    },\n    "a": null\n}\n'
    after = merging.json(before, ("mcpServers", "harness"), ENTRY)
    assert list(json.loads(after)) == ["b", "mcpServers", "a"]
    assert json.loads(after)["mcpServers"] == {"other": {"command": "ü"}, "harness": ENTRY}
    assert after.startswith('{\n    "b"') and "ü" in after


def test_what_else_is_in_a_toml_file_stays_with_its_comments():
    after = merging.toml(CODEX, ("mcp_servers", "harness"), ENTRY)
    assert tomllib.loads(after) == tomllib.loads(CODEX) | {
        "mcp_servers": {"other": {"command": "x"}, "harness": ENTRY}
    }
    assert "# mine" in after and "# keep this comment" in after


@pytest.mark.parametrize(
    "before",
    [
        "",
        "x = 1\n",
        "[mcp_servers]\n",
        "mcp_servers = { other = { command = 'x' } }\n",
        "[mcp_servers.other]\ncommand = 'x'\n",
    ],
)
def test_every_way_to_write_a_toml_table_takes_the_entry(before: str):
    found = tomllib.loads(merging.toml(before, ("mcp_servers", "harness"), ENTRY))
    assert found["mcp_servers"]["harness"] == ENTRY
    assert {key for key in tomllib.loads(before)} <= set(found)


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("{", "not plain JSON"),
        ("[]", "no object"),
        ('{"mcpServers": []}', "no object"),
        ('// mine\n{"a": 1}', "comments would be lost"),
        ('{"a": 1, "a": 2}', "twice"),
        ("{} x", "not plain"),
    ],
)
def test_json_that_cannot_be_kept_is_not_touched(before: str, said: str):
    with pytest.raises(merging.UnreadableConfig, match=said):
        merging.json(before, ("mcpServers", "harness"), ENTRY)


@pytest.mark.parametrize("before", ["x =", "mcp_servers = 1\n", "[a]\n[a]\n"])
def test_toml_that_cannot_be_kept_is_not_touched(before: str):
    with pytest.raises(merging.UnreadableConfig):
        merging.toml(before, ("mcp_servers", "harness"), ENTRY)


def test_a_file_is_written_privately_as_a_whole_with_what_was_there_beside_it(tmp_path: Path):
    file = tmp_path / "deep" / "mcp.json"
    first = writing.write(file, CLIENTS["cursor"](DOOR).merged)
    assert (first.backup, file.stat().st_mode & 0o777) == (None, 0o600)
    file.write_text('{"mine": true}')
    file.chmod(0o644)
    second = writing.write(file, CLIENTS["cursor"](DOOR).merged)
    assert second.backup is not None and second.backup.read_text() == '{"mine": true}'
    assert (file.stat().st_mode & 0o777, second.backup.stat().st_mode & 0o777) == (0o600, 0o600)
    assert json.loads(file.read_text())["mine"] is True and "hs_secret" in file.read_text()
    assert sorted(path.name for path in file.parent.iterdir()) == ["mcp.json", "mcp.json.before-harness"]


def test_a_link_stays_one_and_its_file_is_written(tmp_path: Path):
    real = tmp_path / "dotfiles" / "mcp.json"
    real.parent.mkdir()
    real.write_text("{}")
    (tmp_path / "mcp.json").symlink_to(real)
    writing.write(tmp_path / "mcp.json", CLIENTS["cursor"](DOOR).merged)
    assert (tmp_path / "mcp.json").is_symlink() and "hs_secret" in real.read_text()


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe{}"])
def test_a_file_that_cannot_be_read_is_left_as_it_is_and_named(tmp_path: Path, content: bytes):
    file = tmp_path / "mcp.json"
    file.write_bytes(content)
    with pytest.raises(VerbFailed, match="was not changed"):
        writing.write(file, CLIENTS["cursor"](DOOR).merged)
    assert file.read_bytes() == content and os.listdir(tmp_path) == ["mcp.json"]
