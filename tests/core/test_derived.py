"""Which names are caches: what a tool may run instead of the source that a person reads."""

import pytest

from mcp_server.core import derived


@pytest.mark.parametrize(
    "path",
    [
        "app/__pycache__/core.cpython-311.pyc",
        "core.pyc",
        "core.pyo",
        "tests/.pytest_cache/v/cache/lastfailed",
        "node_modules/.cache/babel/x.json",
        "web/node_modules/.vite/deps/a.js",
        "build/CMakeFiles/engine.dir/x.make",
        "build/.ninja_log",
        "tsconfig.tsbuildinfo",
    ],
)
def test_what_a_tool_keeps_for_itself_is_a_cache(path: str):
    assert derived.is_cache(path, {path})


@pytest.mark.parametrize(
    "path", ["src/core.py", "pycache/x", "node_modules/.bin/jest", "node_modules/x/index.js", "target/a.c"]
)
def test_what_a_person_may_have_written_is_none(path: str):
    assert not derived.is_cache(path, {path})


@pytest.mark.parametrize("beside", ["Cargo.toml", "pom.xml", "build.sbt"])
def test_a_target_is_a_cache_only_beside_the_file_of_the_tool_that_fills_it(beside: str):
    path = "crates/a/target/debug/a"
    assert derived.is_cache(path, {path, f"crates/a/{beside}"})
    assert not derived.is_cache(path, {path, beside})
