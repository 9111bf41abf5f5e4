"""A patch with other line ends than its files: what is changed, and what is left as it stands."""

import pytest

from mcp_server.core import line_ends, unified_diff

PATCH = "--- a/x.txt\n+++ b/x.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n"


def fitted(patch: str, content: bytes | None) -> tuple[str, tuple[str, ...]]:
    found = line_ends.fit(unified_diff.read(patch), 1, {"x.txt": content}.get)
    return found.diff.text(), found.mixed


def crlf(patch: str) -> str:
    head, hunk, body = patch.partition("@@\n")
    return head + hunk + body.replace("\n", "\r\n")


def test_the_lines_of_a_hunk_take_the_ends_of_their_file():
    assert fitted(PATCH, b"one\r\ntwo\r\n") == (crlf(PATCH), ())
    assert fitted(crlf(PATCH), b"one\ntwo\n") == (PATCH, ())


@pytest.mark.parametrize("patch", [PATCH, crlf(PATCH)])
def test_a_file_with_both_kinds_is_named_and_its_patch_left_as_it_is(patch: str):
    assert fitted(patch, b"one\r\ntwo\n") == (patch, ("x.txt",))


@pytest.mark.parametrize("content", [None, b""])
def test_what_was_not_there_before_keeps_the_ends_that_the_patch_gives_it(content: bytes | None):
    assert fitted(crlf(PATCH), content) == (crlf(PATCH), ())


def test_a_new_file_keeps_its_ends():
    patch = "--- /dev/null\n+++ b/x.txt\n@@ -0,0 +1 @@\n+one\r\n"
    assert fitted(patch, b"other\n") == (patch, ())
