"""The product's names: no two public classes share one, none is empty, and docs/words.md names what there is."""

import ast
import re
from pathlib import Path

import pytest

from tests import words

WORDS = words.ROOT / "docs" / "words.md"
PLANTED = """
class Lease:
    known: int

def told(wanted):
    said = 1
    other = 2
    another = 3
    return said

def short(value):
    heard = value
    return heard
"""


def test_no_name_of_the_product_says_nothing_of_its_value():
    assert [line for path in words.files() for line in words.empty_names(path)] == []


def test_no_two_public_classes_share_a_name():
    assert words.homonyms(words.files()) == []


def test_empty_names_and_homonyms_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(words, "ROOT", tmp_path)
    planted, other = tmp_path / "planted.py", tmp_path / "other.py"
    planted.write_text(PLANTED)
    other.write_text("class Lease: ...\n")
    names = [line.partition("`")[2].partition("`")[0] for line in words.empty_names(planted)]
    assert names == ["known", "told", "wanted", "said"]
    assert words.homonyms([planted, other]) == ["class Lease: planted.py, other.py"]


def test_every_class_that_the_words_name_is_there():
    classes = {
        node.name
        for path in words.files()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    }
    rows = [line for line in WORDS.read_text().splitlines() if line.startswith("| **")]
    named = [name for row in rows for name in re.findall(r"`(\w+)` \|$", row)]
    assert len(rows) >= 40
    assert [name for name in named if name not in classes] == []
