"""Owns where a verb acts: which configuration, which state directory, which server, with which token.

Rule: what was named explicitly wins; otherwise harness.toml is looked for here and above, and `.harness`
beside it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.client import ServerClient, ServerGone
from harness.failure import Exit, VerbFailed
from harness.run.plan import load_config
from harness.run.server_process import start_server, stop_stray_server
from harness.run.state import DIRECTORY_NAME, StateBusy, StateDirectory

CONFIG_NAME = "harness.toml"


@dataclass(frozen=True)
class Place:
    """What the command line and the environment say of where to act; `here` is the working directory."""

    config: Path | None = None
    state: Path | None = None
    server: str | None = None
    token_file: Path | None = None
    here: Path = Path(".")

    def config_file(self) -> Path:
        """Return the harness.toml; raise VerbFailed if none was named and none is here or above."""
        if self.config is not None:
            return self.config.resolve()
        here = self.here.resolve()
        for directory in (here, *here.parents):
            if (directory / CONFIG_NAME).is_file():
                return directory / CONFIG_NAME
        raise VerbFailed(f"no {CONFIG_NAME} here or above; `harness init` writes one", Exit.USAGE)

    def state_dir(self) -> StateDirectory:
        root = self.state if self.state is not None else self.config_file().parent / DIRECTORY_NAME
        return StateDirectory(root.resolve())

    @property
    def is_remote(self) -> bool:
        return self.server is not None

    def has_run(self) -> bool:
        """Return True if a server with its runners is up already."""
        return self.is_remote or self.state_dir().is_held()

    def remote_client(self) -> ServerClient:
        assert self.server is not None
        if self.token_file is None:
            raise VerbFailed(
                "--server needs --token-file (or HARNESS_TOKEN_FILE): the admin token of that server",
                Exit.USAGE,
            )
        try:
            token = self.token_file.read_text().strip()
        except OSError as error:
            message = f"cannot read the token file {self.token_file}: {error.strerror}"
            raise VerbFailed(message, Exit.USAGE) from error
        return ServerClient(self.server, token)

    @contextmanager
    def running(self) -> Iterator[ServerClient]:
        """Yield a client of the run that is up now; raise VerbFailed if there is none."""
        if self.is_remote:
            with self.remote_client() as client:
                yield client
            return
        state = self.state_dir()
        url, token = state.server_url(), state.token("admin")
        if url is None or token is None or not state.is_held():
            raise VerbFailed(f"no run is up on {state.root}; `harness up` starts one")
        with ServerClient(url, token) as client:
            yield client

    @contextmanager
    def served(self, *, from_the_start: bool = False) -> Iterator[ServerClient]:
        """Yield a client of the run's server, or, if none is up, of one that lives as long as the verb: the
        past can always be asked. Where there is no past yet, raise VerbFailed, or, `from_the_start`, begin.
        """
        if self.has_run():
            with self.running() as client:
                yield client
            return
        state = self.state_dir()
        if from_the_start:
            load_config(self.config_file())  # what is wrong with it is told better here than by the server
            state.prepare()
        elif not state.database.exists():
            raise VerbFailed(f"nothing ever ran on {state.root}; `harness up` starts a run")
        with self._short_lived(state) as client:
            yield client

    @contextmanager
    def _short_lived(self, state: StateDirectory) -> Iterator[ServerClient]:
        config = self.config_file()
        try:
            with state.hold() as hold:
                if hold.stale:  # a killed run's server may still serve this directory
                    stop_stray_server(state.root)
                server = start_server(config, state.root)
                try:
                    with admin_client(server.url, state) as client:
                        yield client
                finally:
                    server.stop()
        except StateBusy as busy:
            raise VerbFailed(str(busy)) from busy


def admin_client(url: str, state: StateDirectory) -> ServerClient:
    token = state.token("admin")
    if token is None:
        raise ServerGone(f"the server wrote no admin token; see {state.server_log}")
    return ServerClient(url, token)
