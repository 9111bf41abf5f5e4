"""harness.toml and the task files: read into a Config, or every problem at once with file, line and a
suggestion.
"""

from mcp_server.config.load import check_files, load, parse
from mcp_server.config.spec import (
    AccountSpec,
    AgentSpec,
    Budget,
    Config,
    ConfigProblem,
    Egress,
    Environment,
    GatewaySettings,
    Module,
    Repo,
    RunSettings,
    TaskSpec,
)

__all__ = [
    "Environment",
    "AccountSpec",
    "AgentSpec",
    "Budget",
    "Config",
    "Egress",
    "GatewaySettings",
    "Module",
    "ConfigProblem",
    "Repo",
    "RunSettings",
    "TaskSpec",
    "check_files",
    "load",
    "parse",
]
