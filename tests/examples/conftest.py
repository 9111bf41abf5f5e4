"""What the tests of the example share: its cases and what sqlite3 answers to them, asked once."""
import shutil

from . import minisql_tree
import pytest


@pytest.fixture(scope="session")
def scripts():
    return minisql_tree.cases()


@pytest.fixture(scope="session")
def reference(scripts, tmp_path_factory):
    if shutil.which("sqlite3") is None:
        pytest.skip("no sqlite3 here")
    here = tmp_path_factory.mktemp("reference")
    command = minisql_tree.config()["oracle"]["sql"]["reference"]
    return {case: minisql_tree.run_script(command, script, here) for case, script in scripts.items()}


@pytest.fixture(scope="session")
def tasks():
    return minisql_tree.tasks()


@pytest.fixture
def scaffold(tmp_path):
    return minisql_tree.copy_project(tmp_path / "tree")
