"""A kind of agents is its module and its image folder: both halves are there, and everything picks them up."""

import importlib
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from harness.agents import kinds
from harness.agents.base import AgentKind
from harness.agents.kinds import KINDS, PROGRAMS, HalfKind, collect
from harness.images.image_source import ImageSource
from harness.images.recipes import BadRecipe, read_recipes
from harness.images.stock import HOSTED, SANDBOXES

ROOT = Path(__file__).parents[2]
MODULE = Path(kinds.__file__).with_name("qwen.py").read_text()
PARTS = {
    "base",
    "environment",
    "node",
    "oracle-command",
    *SANDBOXES,
    *HOSTED,
}  # images that are no kind's own
NUMBER = itertools.count()


def halves(of: Mapping[str, AgentKind], root: Path) -> list[str]:
    """Return what is missing of kinds: an image folder for a module, or a module for an image folder."""
    images, used = set(read_recipes(root)), {kind.image for kind in of.values()}
    no_image = [
        f"{name}: there is no images/{kind.image}/Dockerfile"
        for name, kind in of.items()
        if kind.image not in images
    ]
    no_module = [f"images/{name}: there is no module for it" for name in sorted(images - used - PARTS)]
    return no_image + no_module


def test_every_kind_is_whole() -> None:
    assert halves(KINDS, ROOT) == []
    assert {"claude", "command", "scripted"} <= set(KINDS), "nothing was collected"


def test_every_program_is_installed_in_its_image_from_a_lock_file() -> None:
    for kind in PROGRAMS.values():
        assert kind.program is not None
        folder = ROOT / "images" / kind.image
        assert f"{kind.program.command} --version" in (folder / "Dockerfile").read_text(), folder
        assert {"package.json", "package-lock.json"} <= {file.name for file in folder.iterdir()}, folder


# -- what half a kind leads to


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., dict[str, AgentKind]]]:
    """Collect the kinds of a room of modules, by name and text."""
    monkeypatch.syspath_prepend(tmp_path)

    def plant(**modules: str) -> dict[str, AgentKind]:
        room = f"planted_{next(NUMBER)}"
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text("")
        for name, text in modules.items():
            (tmp_path / room / f"{name}.py").write_text(text)
        return collect(importlib.import_module(room))

    return plant


def as_kind(name: str) -> str:
    return MODULE.replace('name="qwen"', f'name="{name}"').replace('image="qwen"', f'image="{name}"')


def test_a_module_without_an_image_folder_is_named(planted: Callable[..., dict[str, AgentKind]]) -> None:
    both = planted(qwen=MODULE, extra=as_kind("extra"))
    assert set(both) == {"qwen", "extra"}
    assert "extra: there is no images/extra/Dockerfile" in halves(both, ROOT)


def test_an_image_folder_without_a_module_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "images/extra"
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text("ARG BASE=localhost/harness/node:latest\nFROM ${BASE}\n")
    assert "images/extra: there is no module for it" in halves(KINDS, tmp_path)


@pytest.mark.parametrize("part", ["name", "title", "image", "adapter", "program"])
def test_a_record_that_lacks_a_part_is_refused_with_the_parts_name(
    planted: Callable[..., dict[str, AgentKind]], part: str
) -> None:
    lacking = re.sub(rf"^    {part}=.*\n", "", as_kind("extra"), flags=re.MULTILINE)
    with pytest.raises(HalfKind, match=f"extra.py: .*missing 1 required keyword-only argument: '{part}'"):
        planted(extra=lacking)


def test_a_module_without_a_record_or_with_anothers_is_refused(
    planted: Callable[..., dict[str, AgentKind]],
) -> None:
    with pytest.raises(HalfKind, match="extra.py has no KIND"):
        planted(extra='"""Nothing yet."""\n')
    with pytest.raises(HalfKind, match="extra.py: its KIND has the name 'qwen'"):
        planted(extra=MODULE)


def test_a_dockerfile_without_a_base_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "images/extra"
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM debian\n")
    with pytest.raises(BadRecipe, match="images/extra/Dockerfile has no line `ARG BASE=IMAGE`"):
        read_recipes(tmp_path)


# -- what follows from the records


def test_what_an_image_is_made_of_follows_from_its_dockerfile() -> None:
    recipes = ImageSource(ROOT).recipes
    assert {name: recipe.below for name, recipe in recipes.items() if name not in PROGRAMS} == {
        "base": "rootfs",
        "environment": "rootfs",
        "node": "base",
        "oracle-candidate": "rootfs",
        "oracle-command": "rootfs",
        "oracle-reference": "rootfs",
        "runner": "server",
        "scripted": "base",
        "server": "rootfs",
    }
    assert all(recipes[kind.image].below == "node" for kind in PROGRAMS.values())
    assert set(recipes["runner"].copies) == {"pyproject.toml", "constraints.txt", "harness", "images"}
    assert set(recipes["scripted"].copies) == {"constraints.txt"}


def test_the_table_of_what_was_tried_says_what_the_records_say() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (ROOT / "docs/agents.md").read_text().splitlines()
        if line.startswith("|")
    ]
    named = next(row[1:] for row in rows if row[0] == "kind")
    columns = [PROGRAMS[name.strip("`")] for name in named]
    assert len(columns) == len(PROGRAMS)
    by_label = {row[0]: row[1:] for row in rows if len(row) == len(columns) + 1}
    assert by_label[""] == [kind.title for kind in columns]
    assert by_label["model API"] == [kind.program.api for kind in columns if kind.program]
    assert by_label["version tried"] == [_pinned(kind) for kind in columns]


def _pinned(kind: AgentKind) -> str:
    package = json.loads((ROOT / "images" / kind.image / "package.json").read_text())
    (version,) = package["dependencies"].values()
    return str(version)
