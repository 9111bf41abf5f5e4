"""Owns the text that an agent is told at the start of a session: the harness's rules, its role, then the
project's words and its table's.

Rule: what a user writes is added to the rules, and stands instead of them only where the table says
`prompt_only`.
"""

from importlib import resources
from pathlib import Path

from harness.sessions.project_files import BadFiles, text_of
from mcp_server.config import AgentSpec, prompts

BYTES_MAX = 64_000  # one argument of a command line has at most 128 KiB: Linux, MAX_ARG_STRLEN


def finished(root: Path, project: str | None, spec: AgentSpec, agent: str) -> str:
    """The whole text. Raises BadFiles for what cannot be read, or is longer than a command line."""
    own = _own_words(root, spec.prompt, agent)
    if spec.prompt_only:
        parts = [own]
    else:
        parts = [
            packaged("common"),
            packaged(spec.role),
            packaged("refusals"),
            _own_words(root, project, agent),
            own,
        ]
    text = "\n".join(part.strip() + "\n" for part in parts if part.strip()).replace("{agent}", agent)
    if len(text.encode()) > BYTES_MAX:
        raise BadFiles(
            f"the prompt of {agent} has {len(text.encode())} bytes; at most {BYTES_MAX} are possible: "
            "move some into a file of the repository"
        )
    return text


def packaged(name: str) -> str:
    """One of the texts that come with the harness."""
    return resources.files("harness").joinpath("prompts", f"{name}.md").read_text(encoding="utf-8")


def _own_words(root: Path, prompt: str | None, agent: str) -> str:
    file = prompts.file_of(prompt, agent)
    return text_of(root / file) if file is not None else prompt or ""
