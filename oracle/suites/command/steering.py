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
        "tox.toml",
        "setup.cfg",
        "setup.py",
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
        "nose2.cfg",
        "unittest.cfg",
        "uv.toml",
        "pip.conf",
        ".python-version",
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
        "vendor/modules.txt",
    ),
    "JavaScript": (
        "package.json",
        ".npmrc",
        ".yarnrc",
        ".yarnrc.yml",
        ".yarn/**",
        ".pnpmfile.cjs",
        ".pnpmfile.mjs",
        "pnpm-workspace.yaml",
        "bunfig.toml",
        "deno.json",
        "deno.jsonc",
        ".mocharc.*",
        ".taprc",
        ".nycrc*",
        ".c8rc*",
        ".babelrc*",
        ".swcrc",
        "jest.config.*",
        "jest.setup.*",
        "jest-*.json",
        "vitest.config.*",
        "vitest.setup.*",
        "vitest.workspace.*",
        "vite.config.*",
        "ava.config.*",
        "karma.conf.*",
        "jasmine.json",
        "playwright.config.*",
        "cypress.config.*",
        "babel.config.*",
        "tsconfig.json",
        "tsconfig.*.json",
        "node_modules/**",
    ),
    "Ruby": (
        ".rspec",
        "Rakefile",
        "Gemfile",
    ),
    "Java": (
        "pom.xml",
        "build.gradle",
        "build.gradle.kts",
        "settings.gradle",
        "settings.gradle.kts",
        "gradle.properties",
        "gradlew",
        "mvnw",
        ".mvn/**",
        "junit-platform.properties",
    ),
    "PHP": (
        "phpunit.xml",
        "phpunit.xml.dist",
        "phpunit.dist.xml",
        "composer.json",
    ),
    "C#": (
        "*.csproj",
        "Directory.Build.props",
        "Directory.Build.targets",
        "*.runsettings",
    ),
    "C": (
        "CMakeLists.txt",
        "CMakePresets.json",
        "CTestCustom.cmake",
        "meson.build",
        "meson_options.txt",
        "build.ninja",
        "configure.ac",
        "Makefile.am",
    ),
}
ALWAYS = (
    "Makefile",
    "makefile",
    "GNUmakefile",
    "justfile",
    ".justfile",
    "Taskfile.y*ml",
    "Taskfile.dist.y*ml",
    ".env",
    ".envrc",
    ".tool-versions",
    "mise.toml",
    ".mise.toml",
)
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
