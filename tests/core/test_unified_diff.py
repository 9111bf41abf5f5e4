"""Which leading components of a diff's paths are prefixes."""

import pytest

from mcp_server.core.unified_diff import Unclear, components_to_strip, read

BASE = frozenset({"lib/x", "x", "a/y", "c/z", "i/x", "lib/sp ace"})
HUNK = "@@ -1 +1 @@\n-1\n+2\n"


def sides(old: str, new: str) -> str:
    return f"--- {old}\n+++ {new}\n{HUNK}"


def header(names: str, *lines: str) -> str:
    return "\n".join([f"diff --git {names}", *lines, ""])


@pytest.mark.parametrize(
    ("text", "strip"),
    [
        ("prose", 1),
        (sides("a/lib/x", "b/lib/x"), 1),
        (sides("b/lib/x", "a/lib/x"), 1),
        (sides("lib/x", "lib/x"), 0),
        (sides("lib/x.orig", "lib/x"), 0),
        (sides("lib/x\t2026-01-01 00:00:00", "lib/x\t2026-01-02 00:00:00"), 0),
        (sides("/dev/null", "lib/new"), 0),
        (sides("/dev/null", "b/lib/new"), 1),
        (sides("/dev/null", "a/new"), None),  # main has a directory a
        (sides("a/y", "a/y"), 0),
        (sides("a/none", "a/none"), None),
        (sides("i/x", "i/x"), None),  # main has x as well
        (sides("i/x", "w/x"), None),  # main has both
        (sides("old/lib/x", "new/lib/x"), None),
        (header("a/lib/x b/lib/x", "old mode 100644", "new mode 100755"), 1),
        (header("lib/x lib/x", "old mode 100644", "new mode 100755"), 0),
        (header("lib/sp ace lib/sp ace", "deleted file mode 100644"), 0),
        (header("a/lib/sp ace b/lib/sp ace", "deleted file mode 100644"), 1),
        (header("c/lib/x i/lib/x", "new file mode 100644"), 1),
        (header("old/lib/x new/lib/x", "old mode 100644"), None),
        (header("a/y b/y", "rename from a/y", "rename to b/y"), 0),
        (header("a/lib/x b/lib/n w", "copy from lib/x", "copy to lib/n w"), 1),
        (header("lib/x lib/n w", "rename from lib/x", "rename to lib/n w"), 0),
        (header("p/lib/x q/lib/w", "rename from lib/x", "rename to lib/w"), None),
        (header('"a/\\303\\274" "b/\\303\\274"', "new file mode 100644"), 1),
        (header('"lib/\\303\\274" "lib/\\303\\274"', "new file mode 100644"), 0),
        (header('lib/x "lib/\\303\\274"', "rename from lib/x", 'rename to "lib/\\303\\274"'), 0),
        (header("a/lib/x b/lib/x") + sides("lib/x", "lib/x"), None),
        (sides("a/lib/x", "b/lib/x") + sides("lib/x", "lib/x"), None),
        (sides("lib/x", "lib/x") + "@@ -9 +9 @@\n--- a/no\n+++ b/header\n", 0),
    ],
)
def test_a_component_is_stripped_only_where_the_headers_carry_a_prefix_of_gits(text: str, strip: int | None):
    found = components_to_strip(read(text), lambda: BASE)
    assert isinstance(found, Unclear) if strip is None else found == strip, found


def test_the_lines_of_a_diff_stay_as_they_are_but_for_the_ends_of_headers():
    text = sides("a/x", "b/x").replace("\n", "\r\n")
    assert read(text).text() == "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-1\r\n+2\r\n"
