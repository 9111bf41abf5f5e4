"""File names as an enemy would choose them."""

import pytest

from mcp_server.core import names


@pytest.mark.parametrize(
    "path",
    [
        ".git",
        ".git/config",
        "a/.GIT/hooks/post-commit",
        ".gitattributes",
        "src/.GitModules",
        ".gitignore",
        "git~1",
        "GIT~1/config",
        "gitmod~2",
        "gi7eba~1",
        ".git ",
        ".git.",
        ".git . .",
        ".git::$INDEX_ALLOCATION",
        ".gitmodules:stream",
        "a\\.git\\config",
        ".g\u200cit",
        "\ufeff.git",
        ".gi\u200dt/config",
        ".g\u00adit",
        ".GIT\u2060modules",
        "\uff0egit",
    ],
)
def test_a_name_that_configures_git_is_seen(path):
    assert names.is_git_config(path)


@pytest.mark.parametrize(
    "path",
    [
        "src/git.py",
        "git",
        "a/digit",
        "x.git",
        ".gitkeep",
        ".github/workflows/ci.yml",
        "git~x",
        "docs/.hidden",
    ],
)
def test_an_ordinary_name_is_not(path):
    assert not names.is_git_config(path)


def test_a_near_miss_of_a_harmless_name_is_not_harmless():
    assert names.is_git_config(".GitKeep")
    assert names.is_git_config(".git\u200ckeep")


def test_names_that_fold_together_collide():
    assert names.collides(["src/a.py", "src/A.py"]) == [("src/A.py", "src/a.py")]
    assert names.collides(["Src/a", "src/b"]) == [("Src", "src")]
    assert names.collides(["caf\u00e9", "cafe\u0301"]) == [("cafe\u0301", "caf\u00e9")]
    assert names.collides(["STRASSE", "stra\u00dfe"]) == [("STRASSE", "stra\u00dfe")]
    assert names.collides(["a\u200cb", "ab"]) == [("ab", "a\u200cb")]


def test_different_names_do_not_collide():
    assert names.collides(["a/b", "a/c", "b", "a.b", "a/b"]) == []
