"""Owns what the image of an environment is made of: what it starts from, its Dockerfile, its build context.

Rule: everything of the project in it comes by the order, which the server fills from main; nothing is read
from this machine's disk but the harness's own sources.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import json5

from harness.images.recipes import BadRecipe
from mcp_server.config.environments import VARIABLE
from mcp_server.wire.environments import EnvironmentFile, EnvironmentOrder

KIND = "environment"
BASE_KIND = "environment-base"
FOLDER = "images/environment"
DOCKERFILE = f"{FOLDER}/Dockerfile"
ENV_LINE = "# ENV"
SETUP_KEYS = ("onCreateCommand", "updateContentCommand", "postCreateCommand")
REFUSED_KEYS = {
    "features": "name what they install as packages and setup of the environment",
    "dockerComposeFile": "name the image or the Dockerfile of its service",
}


@dataclass(frozen=True)
class DockerBuild:
    """A Dockerfile of the repository that makes what an environment starts from."""

    dockerfile: str
    args: Mapping[str, str]
    target: str | None = None


@dataclass(frozen=True)
class Start:
    """What an environment starts from: an image, a Dockerfile, or neither, which is ours."""

    image: str | None = None
    build: DockerBuild | None = None
    setup: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None


def start_of(order: EnvironmentOrder) -> Start:
    """Return what the environment starts from; raise BadRecipe where its files do not say."""
    if order.devcontainer is not None:
        return _of_devcontainer(order, order.devcontainer)
    if order.dockerfile is not None:
        return Start(build=_build(order, order.dockerfile, {}))
    return Start(image=order.image)


def _build(
    order: EnvironmentOrder, path: str, args: Mapping[str, str], target: str | None = None
) -> DockerBuild:
    _file(order, path)
    return DockerBuild(path, args, target)


def _file(order: EnvironmentOrder, path: str) -> EnvironmentFile:
    for file in order.files:
        if file.path == path:
            return file
    raise BadRecipe(f"environment {order.name}: main has no file {path!r}; commit it, or mend harness.toml")


def _of_devcontainer(order: EnvironmentOrder, path: str) -> Start:
    """Read those keys of a devcontainer.json (containers.dev) that say what is in the container."""
    try:
        written = json5.loads(_file(order, path).content.decode("utf-8-sig"))
    except ValueError as error:
        raise BadRecipe(f"environment {order.name}: {path} is no JSON: {error}") from error
    if not isinstance(written, dict):
        raise BadRecipe(f"environment {order.name}: {path} holds no object")
    for key, step in REFUSED_KEYS.items():
        if written.get(key):
            raise BadRecipe(f"environment {order.name}: {path} has {key}, which is not supported: {step}")
    setup = tuple(line for key in SETUP_KEYS for line in _commands(written.get(key)))
    env = {**_texts(written.get("containerEnv")), **_texts(written.get("remoteEnv"))}
    build = written.get("build")
    dockerfile = build.get("dockerfile") if isinstance(build, dict) else written.get("dockerFile")
    if isinstance(dockerfile, str):
        named = _beside(path, dockerfile)
        options: Mapping[str, Any] = build if isinstance(build, dict) else {}
        made = _build(order, named, _texts(options.get("args")), options.get("target"))
        return Start(build=made, setup=setup, env=env)
    image = written.get("image")
    if not isinstance(image, str):
        raise BadRecipe(f"environment {order.name}: {path} names neither image nor build.dockerfile")
    return Start(image=image, setup=setup, env=env)


def _beside(path: str, relative: str) -> str:
    """Return a path that is relative to the directory of another one, from the repository's top."""
    parts = path.split("/")[:-1]
    for part in relative.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in (".", "..", ""):
            parts.append(part)
    return "/".join(parts)


def _commands(value: object) -> list[str]:
    """Return the shell commands of a lifecycle key: a text, a list of words, or an object of either."""
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, list):
        return [" ".join(_quoted(str(word)) for word in value)] if value else []
    if isinstance(value, dict):
        return [line for part in value.values() for line in _commands(part)]
    return []


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def _texts(value: object) -> dict[str, str]:
    """Return the variables with a plain value: one that refers to another machine's means nothing here."""
    if not isinstance(value, dict):
        return {}
    plain = {key: text for key, text in value.items() if isinstance(text, str) and "${" not in text}
    for key, text in plain.items():
        if not VARIABLE.fullmatch(key) or "\n" in text:
            raise BadRecipe(f"the variable {key!r} of a devcontainer.json cannot be one of one line")
    return plain


def dockerfile_text(template: str, env: Mapping[str, str]) -> str:
    """Return the Dockerfile with the environment's variables in the place of its ENV line."""
    lines = [f"ENV {name}={_env_value(value)}" for name, value in sorted(env.items())]
    return re.sub(rf"^{re.escape(ENV_LINE)}$", lambda _: "\n".join(lines), template, flags=re.MULTILINE)


def _env_value(value: str) -> str:
    """Return a value in quotes; `$NAME` in it means what it means in a Dockerfile, so that PATH can grow."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def context_files(order: EnvironmentOrder, setup: Iterable[str]) -> list[EnvironmentFile]:
    """Return what the build context holds besides the harness's own files."""
    script = "".join(f"{command}\n" for command in setup)
    files = [
        EnvironmentFile(path=f"{FOLDER}/files/{file.path}", content=file.content, executable=file.executable)
        for file in order.files
    ]
    return [*files, EnvironmentFile(path=f"{FOLDER}/setup", content=script.encode())]


def digest(order: EnvironmentOrder, *made_of: str) -> str:
    """Return a name of all that is in the order and of what else the image is made of."""
    value = order.model_dump(mode="json", exclude={"name"})
    text = json.dumps([value, *made_of], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
