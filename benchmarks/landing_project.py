"""Owns the repository that landings are measured on: modules of one directory each, in one of two set-ups of
the oracle. Rule: nothing of it is ever run.
"""

from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from benchmarks import project
from benchmarks.project import BRANCH, REPO, Served

MODULE_PREFIX = "m"
HEAD = f"""\
[run]
name = "landing"
port = 0

[repos.{REPO}]
path = "."
branch = "{BRANCH}"

[agents.author]
kind = "command"
command = ["true"]
"""
MODULE = '\n[modules.{module}]\nrepo = "{repo}"\npaths = ["{module}/**"]\n'
SUITE = (
    '\n[oracle.{suite}]\nkind = "differential"\nrepo = "{repo}"\ncases = ["cases/{suite}.txt"]\ncandidate ='
    ' "true"\nreference = "true"\nprotect = ["cases/**"]\nreads = ["{reads}"]\n'
)
TASK = '+++\nid = "T{number}"\ntitle = "Begin {module}"\nmodule = "{module}"\n+++\nAdd a file.\n'


def module(number: int) -> str:
    return f"{MODULE_PREFIX}{number}"


def make(root: Path, *, modules: int, closures: bool) -> Path:
    """With `closures` each module has a suite that reads that module alone; without, one suite reads
    everything.
    """
    names = [module(number) for number in range(modules)]
    suites = {name: f"{name}/**" for name in names} if closures else {"whole": "**"}
    config = HEAD + "".join(MODULE.format(module=name, repo=REPO) for name in names)
    config += "".join(SUITE.format(suite=suite, repo=REPO, reads=reads) for suite, reads in suites.items())
    files = {
        "harness.toml": config,
        **{f"{name}/begin.good": "" for name in names},
        **{f"cases/{suite}.txt": "one\n" for suite in suites},
    }
    return project.begin(
        root,
        {
            **files,
            **{
                f"tasks/{name}.md": TASK.format(number=number, module=name)
                for number, name in enumerate(names)
            },
        },
    )


def served(modules: int, *, closures: bool) -> AbstractContextManager[Served]:
    return project.serving(partial(make, modules=modules, closures=closures))
