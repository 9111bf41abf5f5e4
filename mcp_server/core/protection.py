"""What no agent may change in a repository, whichever suite judges it, and why.

Rule: names are compared as the strictest file system would: without regard to case, and composed. What is
released was released by a person.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from mcp_server.core import paths

NAMES_REMEMBERED = 1 << 16

AGENTS = (
    "CLAUDE.md",
    "CLAUDE.local.md",
    "AGENTS.md",
    "AGENTS.override.md",
    "GEMINI.md",
    "QWEN.md",
    ".claude/**",
    ".codex/**",
    ".gemini/**",
    ".qwen/**",
    ".opencode/**",
    "opencode.json",
    "opencode.jsonc",
    ".mcp.json",
    ".cursor/**",
    ".cursorrules",
    ".windsurf/**",
    ".windsurfrules",
    ".clinerules",
    ".aider*",
    ".github/copilot*",
    ".github/copilot/**",
    ".github/instructions/**",
    ".github/prompts/**",
    ".vscode/mcp.json",
)
CONTINUOUS_INTEGRATION = (
    ".github/workflows/**",
    ".github/actions/**",
    ".gitlab-ci.yml",
    ".gitlab/ci/**",
    ".circleci/**",
    ".travis.yml",
    "azure-pipelines.yml",
    "Jenkinsfile",
    ".buildkite/**",
    "bitbucket-pipelines.yml",
    ".drone.yml",
    ".woodpecker/**",
    ".woodpecker.yml",
    "appveyor.yml",
    ".pre-commit-config.yaml",
    ".husky/**",
    "lefthook.yml",
)
GIT = (".gitmodules", ".gitattributes", ".lfsconfig")
IMAGES = (".devcontainer/**", ".dockerignore")
# What the test tools of Python import of its library once they run: a module of such a name beside the tests
# is imported in its place. What the interpreter has loaded before cannot be replaced so.
# fmt: off
LIBRARY = frozenset((
    "argparse", "ast", "bdb", "bisect", "calendar", "cmd", "code", "codeop", "collections",
    "concurrent", "contextlib", "copy", "csv", "dataclasses", "datetime", "decimal", "difflib", "dis",
    "doctest", "email", "enum", "fnmatch", "fractions", "functools", "getpass", "gettext", "glob",
    "gzip", "hashlib", "heapq", "hmac", "html", "http", "importlib", "inspect", "json", "keyword",
    "linecache", "locale", "logging", "multiprocessing", "numbers", "opcode", "operator", "pathlib",
    "pdb", "pickle", "pkgutil", "platform", "pprint", "pstats", "queue", "random", "re", "reprlib",
    "runpy", "secrets", "select", "selectors", "shlex", "shutil", "signal", "socket", "sqlite3",
    "statistics", "string", "struct", "subprocess", "sysconfig", "tempfile", "textwrap", "threading",
    "token", "tokenize", "traceback", "types", "typing", "unittest", "urllib", "uuid", "warnings",
    "weakref", "xml", "zipfile", "zipimport",
))
# fmt: on
IMPORTED_FROM = ("", "src", "lib", "tests", "test")
SHADOWS = "it stands in the place of a module that test tools import"
ALWAYS: Mapping[str, tuple[str, ...]] = {
    "it tells agents what to do": AGENTS,
    "it says what continuous integration and hooks run": CONTINUOUS_INTEGRATION,
    "it says what git makes of the files": GIT,
    "it says what images are made of": IMAGES,
}


@dataclass(frozen=True)
class Protection:
    """The globs that are protected, each with why, and those that a person has released."""

    reasons: Mapping[str, str]
    released: tuple[str, ...] = ()
    has_tests: bool = False
    """Whether tests run here, in whose tools a module can take another one's place."""

    def why(self, path: str) -> str | None:
        """Return why no agent may change the path; None if agents may."""
        reason = self.steers(path)
        return None if reason is None or covers(self.released, path) else reason

    def steers(self, path: str) -> str | None:
        """Return why the path is protected unless it is released; None if it is not."""
        if self.has_tests and _shadows(path):
            return SHADOWS
        if not covers(self.reasons, path):
            return None
        return next(reason for glob, reason in self.reasons.items() if covers((glob,), path))


def _shadows(path: str) -> bool:
    """Return True if Python finds the path first when it imports a module of its library: `json.py`, or
    `json/__init__.py`; a directory without that file takes no module's place.
    """
    module = folded(path).removesuffix("/__init__.py").removesuffix(".py")
    directory, _, name = module.rpartition("/")
    return module != folded(path) and name in LIBRARY and directory in IMPORTED_FROM


def everywhere(names: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Return these names as globs that match anywhere in a tree, each with its reason."""
    return {f"**/{name}": reason for reason, listed in names.items() for name in listed}


def covers(globs: Mapping[str, str] | tuple[str, ...], path: str) -> bool:
    """Return True if a glob matches the path as a file system would that knows no case."""
    return paths.covers([folded(glob) for glob in globs], folded(path))


@lru_cache(NAMES_REMEMBERED)
def folded(name: str) -> str:
    """Return a name such that two names of the same file fold to the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold())
