"""Owns which files steer a test run without being tests: whoever may write them may have any result.

Rule: what makes a runner load code, choose or skip tests, or find another tool in its place; not the tests
themselves.
"""

from collections.abc import Mapping

BY_LANGUAGE: Mapping[str, tuple[str, ...]] = {
    "Python": (
        "conftest.py",
        "pytest.ini",
        ".pytest.ini",
        "pytest.toml",
        ".pytest.toml",
        "pyproject.toml",
        "tox.ini",
        "setup.cfg",
        "sitecustomize.py",
        "sitecustomize/**",
        "usercustomize.py",
        "usercustomize/**",
        "*.pth",
        "*.dist-info/**",
        "*.egg-info/**",
        "pytest.py",
        "pytest/**",
        "_pytest/**",
        "pluggy/**",
        "noxfile.py",
        ".coveragerc",
    ),
    "Rust": (
        "Cargo.toml",
        "build.rs",
        ".cargo/**",
        ".config/nextest.toml",
        "rust-toolchain",
        "rust-toolchain.toml",
    ),
    "Go": (
        "go.mod",
        "go.work",
    ),
    "JavaScript": (
        "package.json",
        ".npmrc",
        ".mocharc.*",
        ".nycrc*",
        "jest.config.*",
        "vitest.config.*",
        "babel.config.*",
    ),
}
ALWAYS = ("Makefile", "makefile", "GNUmakefile", ".env", ".envrc")
TOP = ("harness.toml", "tasks/**")


def globs(*languages: str) -> tuple[str, ...]:
    """Return what steers the tests of projects in these languages, anywhere in the tree."""
    names = [
        name
        for language in languages
        for name in BY_LANGUAGE.get(language.replace("TypeScript", "JavaScript"), ())
    ]
    return (*TOP, *(f"**/{name}" for name in (*names, *ALWAYS)))


PROTECTED = globs(*BY_LANGUAGE)
"""What a command suite protects that does not say what it protects."""
