"""Environments on a real engine: one image below an oracle's box and an agent's sandbox, made once."""

import uuid
from collections.abc import Callable, Iterator

import pytest

from harness.boxes.containers import Box, Engine
from harness.images.image_engine import ImageEngine, ImageFailed
from harness.images.stock import Images, Order
from mcp_server.wire.environments import EnvironmentFile, EnvironmentOrder
from oracle.cases.spec import Suite

pytestmark = pytest.mark.containers

EXEC_S = 30
SUITE = Suite(name="unit", kind="command", repo="r", command="make test", environment="tools")
NONCE = uuid.uuid4().hex  # nobody has built this before


def environment(**changes: object) -> EnvironmentOrder:
    lock = EnvironmentFile(path="locks/wish.txt", content=NONCE.encode())
    plain = {"name": "tools", "files": (lock,), "env": {"GREETING": "hello $PATH"}}
    return EnvironmentOrder(
        **{**plain, "setup": ("cp locks/wish.txt /opt/wish", 'test "$HOME" = /root'), **changes}
    )


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def made_of(engine: Engine) -> Iterator[list[str]]:
    """Names of images to be removed at the end."""
    names: list[str] = []
    yield names
    for name in dict.fromkeys(names):
        ImageEngine(engine).remove(name)


@pytest.fixture(scope="module")
def images(engine: Engine, said: list[str]) -> Images:
    return Images(engine, say=said.append)


@pytest.fixture(scope="module")
def names(images: Images, made_of: list[str]) -> tuple[str, str]:
    """The image of an oracle's box and the one of an agent's sandbox."""
    agents = images.deliver(Order("base", environment="tools"), environment())
    boxes = images.image_on(SUITE, environment())
    made_of += [agents, boxes, images.environment(environment())]
    return boxes, agents


def test_tests_and_agents_find_the_same_in_their_images(
    names: tuple[str, str], boxed: Callable[..., Box], said: list[str]
):
    for name in names:
        box = boxed(image=name)
        shown = box.exec(["sh", "-c", "cat /opt/wish; echo; echo $GREETING; id -u"], timeout_s=EXEC_S)
        wish, greeting, user = shown.stdout.decode().splitlines()
        assert wish == NONCE and greeting.startswith("hello /usr/local/sbin:") and user != "0"
    assert any("set-up: cp locks/wish.txt /opt/wish" in line for line in said), said


def test_nothing_of_the_lock_files_is_left_and_no_file_can_be_written(
    names: tuple[str, str], boxed: Callable[..., Box]
):
    box = boxed(image=names[0])
    assert box.exec(["ls", "/opt/harness/environment/files"], timeout_s=EXEC_S).exit != 0
    assert box.exec(["touch", "/opt/wish"], timeout_s=EXEC_S).exit != 0


def test_what_is_there_is_found_in_silence_whatever_the_table_is_called(
    engine: Engine, names: tuple[str, str]
):
    said: list[str] = []
    again = Images(engine, say=said.append)
    assert again.image_on(SUITE, environment(name="renamed")) == names[0] and said == []


def test_another_lock_file_is_another_image(images: Images, names: tuple[str, str], made_of: list[str]):
    other = environment(files=(EnvironmentFile(path="locks/wish.txt", content=b"other"),), setup=())
    made_of.append(images.environment(other))
    assert made_of[-1] != images.environment(environment())


def test_a_set_up_that_fails_is_told_in_its_own_words(images: Images):
    failing = environment(setup=("echo before", "echo 'no such package: left-pad' >&2; exit 3"))
    with pytest.raises(ImageFailed) as told:
        images.environment(failing)
    assert "no such package: left-pad" in str(told.value) and "environment tools" in str(told.value)


def test_a_dockerfile_of_the_repository_is_what_it_starts_from(
    images: Images, boxed: Callable[..., Box], made_of: list[str]
):
    root = images.ensure("rootfs")
    dockerfile = f"FROM {root}\nARG WORD=none\nCOPY locks/wish.txt /opt/copied\nRUN echo $WORD >/opt/word\n"
    devcontainer = (
        '{"build": {"dockerfile": "Dockerfile", "args": {"WORD": "given"}}, "containerEnv": {"X": "y"}}'
    )
    order = environment()
    more = (
        EnvironmentFile(path="Dockerfile", content=dockerfile.encode()),
        EnvironmentFile(path="devcontainer.json", content=devcontainer.encode()),
    )
    made = images.environment(
        environment(devcontainer="devcontainer.json", files=(*order.files, *more), setup=(), env={})
    )
    made_of.append(made)
    shown = boxed(image=made).exec(["sh", "-c", "cat /opt/copied /opt/word; echo $X"], timeout_s=EXEC_S)
    assert shown.stdout.decode().split() == [f"{NONCE}given", "y"]


def test_an_image_of_another_distribution_is_refused_in_one_sentence(images: Images, engine: Engine):
    empty = EnvironmentFile(path="Dockerfile", content=b"FROM scratch\nCOPY locks/wish.txt /opt/wish\n")
    order = environment()
    with pytest.raises(ImageFailed, match="environment tools"):
        images.environment(environment(dockerfile="Dockerfile", files=(*order.files, empty)))
