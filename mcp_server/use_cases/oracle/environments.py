"""What an environment is made of: its table, and the files of the repository that it names.

Rule: they are main's. A change is tested in main's environment, so none of its own code ever meets a network.
"""

import hashlib
import json
from dataclasses import asdict

from mcp_server.config import Environment
from mcp_server.repos import trees
from mcp_server.wire.environments import EnvironmentFile, EnvironmentOrder
from mcp_server.world import World


def now(world: World, name: str) -> EnvironmentOrder:
    """Return what the environment is made of, as main is now."""
    environment = world.config.environments[name]
    repo, commit = world.repos[environment.repo], world.main(environment.repo)
    chosen = [
        entry
        for entry in repo.files.choose(commit, environment.files(), ())
        if entry.mode not in (trees.GITLINK, trees.SYMLINK)
    ]
    contents = repo.objects.read_many([(commit, entry.path) for entry in chosen])
    files = tuple(
        EnvironmentFile(path=entry.path, content=content, executable=entry.mode == trees.EXECUTABLE)
        for entry, content in zip(chosen, contents, strict=True)
        if content is not None
    )
    return EnvironmentOrder(
        name=name,
        image=environment.image,
        dockerfile=environment.dockerfile,
        devcontainer=environment.devcontainer,
        packages=environment.packages,
        setup=environment.setup,
        env=environment.env,
        files=files,
    )


def keys(world: World) -> dict[str, str]:
    """Return by environment a name for all that `now` returns of it, without reading a file."""
    return {name: _key(world, environment) for name, environment in world.config.environments.items()}


def _key(world: World, environment: Environment) -> str:
    repo = world.repos[environment.repo]
    files = repo.files.key(world.main(environment.repo), environment.files(), ())
    table = json.dumps(asdict(environment), sort_keys=True)
    return hashlib.sha256(f"{table} {files}".encode()).hexdigest()
