"""A branch may be called what git accepts, by git's own word."""

import subprocess

import pytest

from mcp_server.core.branches import is_branch

GOOD = r"""main fix/#12+\u00fc a/b/c feature/(x) a=b a,b a;b a&b a$b a'b a"b a|b a!b a%20b a@b @a a@ @ {a} a{b} head
a/HEAD HEAD/a FETCH_HEAD refs/heads/x a- a/-b +a #a _a a./b a.lockx x.LOCK a]b a\u0085b a\u3000b a\u2028b \u2603
\U0001f600/x a<b a>b a`b"""
BAD = r"""a@{b a@{ @{-1} HEAD -a .a a. a/.b a/b. a..b a/../b a...b ... .. . a.lock a.lock/b .lock a/.lock /a a/ a//b /
a~b a^b a:b a?b a*b a[b a\\b a\u007fb a\u0001b"""
NAMES = [name.encode().decode("unicode_escape") for name in f"{GOOD}\n{BAD}".split()]


@pytest.mark.parametrize("name", [*NAMES, "", "a b", "a\tb", "a\nb", "a\n", "a.lock\n", " a", "a "])
def test_a_branch_may_be_what_git_says(name: str):
    git = subprocess.run(["git", "check-ref-format", "--branch", name], capture_output=True, cwd="/")
    assert is_branch(name) == (git.returncode == 0), git.stderr


def test_a_name_that_no_file_system_holds_is_none():
    assert is_branch("a" * 250) and not is_branch("a" * 251) and not is_branch("a/" * 500 + "b")
