"""What a prompt key may say: the text itself, or the file that holds it. Rule: one line that ends like a text
file names a file.
"""

from mcp_server.config.positions import Keys
from mcp_server.config.reading import Source, dotted
from mcp_server.config.spec import AgentSpec
from mcp_server.core.role import Role

FILES = (".md", ".txt")


def file_of(prompt: str | None, agent: str) -> str | None:
    """The file that a prompt of this agent's lies in, relative to harness.toml; None where there is none, or
    where it is the text.
    """
    is_file = prompt is not None and prompt.endswith(FILES) and "\n" not in prompt and " " not in prompt
    return prompt.replace("{agent}", agent) if prompt and is_file else None


def check(source: Source, keys: Keys, agent: AgentSpec) -> None:
    if agent.prompt_only and not agent.prompt:
        source.problem(
            (*keys, "prompt_only"),
            f"{dotted(keys)} has prompt_only and no prompt",
            'add prompt = "FILE.md", or take prompt_only out',
        )
    if agent.role == Role.PLANNER and not agent.prompt:
        source.problem(
            (*keys, "role"),
            f"{dotted(keys)}: a planner has to be told its aim",
            'add prompt = "AIM.md", or the aim itself',
        )
