"""Owns the engine's verbs for images: exists, tag, pull, import, build.

Rule: it makes images and their names, and leaves no container behind.
"""

import contextlib
import io
import json
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests.exceptions
import urllib3.exceptions

from harness.boxes.containers import BoxBroke, Engine

REGISTRY_ANSWER_S = 8.0  # a registry that cannot be reached must not delay the first run much
PULL_READ_S = 60.0  # between two progress messages of a pull
BUILD_READ_S = 900  # between two lines of a build: one package installation on a slow mirror
TAIL_LINES = 40
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
STEP = re.compile(r"Step \d+/\d+ : ")


class ImageFailed(BoxBroke):
    """The engine could not make an image; the message holds the build's last lines."""


class BuildFailed(ImageFailed):
    """What an image is made of does not make it: the same build at once would fail again."""


class ImageEngine:
    """The image side of one engine, over the connection that the other door to Docker opens and closes."""

    def __init__(self, engine: Engine) -> None:
        self._api = engine._client.api

    def facts(self) -> Mapping[str, Any]:
        """Return what the engine says of itself."""
        with _failing("engine info"):
            return self._api.info()

    def exists(self, image: str) -> bool:
        return self.id(image) is not None

    def id(self, image: str) -> str | None:
        """Return what the image's name stands for now; None if there is no such image."""
        with _failing(f"image {image}"):
            try:
                return str(self._api.inspect_image(image)["Id"])  # type: ignore[no-untyped-call]
            except docker.errors.ImageNotFound:
                return None

    def tag(self, image: str, name: str) -> None:
        repository, _, tag = name.rpartition(":")
        with _failing(f"image {name}: tag"):
            self._api.tag(image, repository, tag)

    def names(self, prefix: str) -> list[str]:
        """Return every name that starts with the prefix."""
        with _failing("list images"):
            rows = self._api.images()
        return sorted(name for row in rows for name in row["RepoTags"] or () if name.startswith(prefix))

    def remove(self, name: str) -> bool:
        """Remove the name, and the image with its last one. Return False while a container uses it."""
        with _failing(f"image {name}: remove"):
            try:
                self._api.remove_image(name)
            except docker.errors.APIError as error:
                if error.status_code != 409:
                    raise
                return False
        return True

    def registry_has(self, image: str) -> bool:
        """Return True if the engine reaches a registry that offers the image, within REGISTRY_ANSWER_S."""
        url = f"{self._api.base_url}/v{self._api.api_version}/distribution/{image}/json"
        try:
            return self._api.get(url, timeout=REGISTRY_ANSWER_S).status_code == 200
        except requests.exceptions.RequestException:
            return False

    def pull(self, image: str) -> None:
        repository, _, tag = image.rpartition(":")
        url = f"{self._api.base_url}/v{self._api.api_version}/images/create"
        with _failing(f"image {image}: pull"):
            answer = self._api.post(
                url, params={"fromImage": repository, "tag": tag}, stream=True, timeout=PULL_READ_S
            )
            self._read(answer, f"image {image}: pull")

    def import_tar(self, root_tar: Path, name: str) -> None:
        """Make an image of one layer from a root file system's tar."""
        repository, _, tag = name.rpartition(":")
        url = f"{self._api.base_url}/v{self._api.api_version}/images/create"
        query = {"fromSrc": "-", "repo": repository, "tag": tag, "changes": ['CMD ["bash"]']}
        with _failing(f"image {name}: import"), root_tar.open("rb") as body:
            answer = self._api.post(url, params=query, data=body, stream=True, timeout=BUILD_READ_S)
            self._read(answer, f"image {name}: import")

    def build(
        self,
        context_tar: bytes,
        name: str,
        *,
        dockerfile: str,
        args: Mapping[str, str],
        labels: Mapping[str, str],
        target: str | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        """Build with the classic builder, which every engine has. `target`: the stage to stop at; `say` is
        told each line of what the build prints.
        """
        with _failing(f"image {name}: build"):
            answers = self._api.build(
                fileobj=io.BytesIO(context_tar),
                custom_context=True,
                dockerfile=dockerfile,
                tag=name,
                buildargs=dict(args),
                labels=dict(labels),
                target=target or "",
                network_mode=self._build_network(),
                rm=True,
                forcerm=True,
                decode=True,
                timeout=BUILD_READ_S,
            )
            _follow(answers, f"image {name}: build", say)

    def _build_network(self) -> str:
        """Return the host's own network: a proxy or a resolver on its loopback answers there too, and an
        engine without a bridge can build.
        """
        remapped = any("name=userns" in option for option in self.facts().get("SecurityOptions") or ())
        return "default" if remapped else "host"

    def _read(self, answer: requests.Response, what: str) -> None:
        if answer.status_code != 200:
            raise ImageFailed(f"{what}: {answer.text.strip()}")
        _follow((json.loads(line) for line in answer.iter_lines() if line.strip()), what)


def _follow(answers: Iterator[dict[str, Any]], what: str, say: Callable[[str], None] | None = None) -> None:
    """Read the engine's progress to its end; raise ImageFailed with its last lines if it reports an error."""
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    rest = ""
    for answer in answers:
        if "error" in answer:
            raise BuildFailed("\n".join([*tail, *filter(None, [rest]), f"{what}: {answer['error'].strip()}"]))
        # The builder coats what goes to stderr in colour, and cuts lines where the program flushed.
        *lines, rest = (rest + COLOUR.sub("", answer.get("stream", ""))).split("\n")
        if any(STEP.match(line) for line in lines):
            tail.clear()  # what earlier steps printed says nothing about this one's failure
        tail.extend(filter(str.strip, lines))
        if say is not None:
            for line in lines:
                say(line)


@contextlib.contextmanager
def _failing(what: str) -> Iterator[None]:
    try:
        yield
    except docker.errors.APIError as error:
        raise ImageFailed(f"{what}: {error.explanation or error}") from error
    except (
        docker.errors.DockerException,
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
    ) as error:
        raise ImageFailed(f"{what}: {error}") from error
