"""`harness init`: a harness.toml and a first task from what the repository shows.

Rule: it never overwrites unasked.
"""

import json
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from harness.agents.kinds import PROGRAMS
from harness.commands.inspect_repo import Inspection, TestCommand, as_name, inspect
from harness.failure import Exit, VerbFailed
from oracle.suites.command import steering

CONFIG = Path("harness.toml")
FIRST_TASK = Path("tasks/001-first.md")
LIST_CHARS = 120  # of one line of a long list
PLACEHOLDER = TestCommand("", "make test", None, ("make",))


def init(
    root: Annotated[Path, typer.Argument(help="The top directory of the git repository.")] = Path("."),
    *,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
) -> list[Path]:
    """Write a commented harness.toml and a first task by looking at the repository."""
    written = write(root, force=force)
    for path in written:
        print(f"wrote {path}")
    print("next: read them, then `harness doctor` and `harness up`")
    return written


def write(root: Path, *, force: bool) -> list[Path]:
    """Write both files and return them, or raise VerbFailed and write neither."""
    if not (root / ".git").exists():
        raise VerbFailed(f"{root} is not the top of a git repository; run `git init` there first", Exit.USAGE)
    there = [str(path) for path in (CONFIG, FIRST_TASK) if (root / path).exists()]
    if there and not force:
        message = f"{' and '.join(there)} already there; --force writes over what is there"
        raise VerbFailed(message, Exit.USAGE)
    found = inspect(root)
    texts = {root / CONFIG: config_text(found), root / FIRST_TASK: task_text(found)}
    for path, text in texts.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(texts)


def config_text(found: Inspection) -> str:
    """Return a harness.toml for what was found."""
    repo = as_name(found.name) or "project"
    modules = "\n".join(_module(repo, part.name, part.paths) for part in found.parts)
    return f"""\
# What a swarm of agents may do in this repository. Written by `harness init`; {_seen(found)}.
# Everything is checked at once by `harness doctor` and `harness up`.

[run]
name = {_string(repo)}
# lease_minutes = 15      # a claim ends this long after its holder's last call
# session_minutes = 60    # one agent session ends after this long
# idle_minutes = 10       # ... or after so long without output, tool call or model request
# max_minutes = 480       # the whole run ends after this long
# prompt = "AGENTS.md"    # what every agent is told besides the harness's rules: a file, or the text itself

[repos.{repo}]
path = "."
branch = {_string(found.branch)}
# unprotected = ["package.json"]    # what steers a run, and agents may change: `harness doctor` lists it

{_environment(found)}\
# Modules: named sets of paths. A task belongs to one, and its agent can change nothing outside it.
# Two live leases never overlap, so smaller modules let more agents work at once.
# `**` is any number of directories, `*` and `?` stay within one name.

{modules}
# The oracle judges every change, merged onto the newest {found.branch}, before it lands: no case that passes
# there may fail.
{_oracle(repo, found)}
# Agents: each runs in a container of its own without a network, and reaches nothing but the server: its
# tools, this repository, and its model, with a key that only the server knows (ANTHROPIC_API_KEY,
# OPENAI_API_KEY or GEMINI_API_KEY where `harness up` runs; more under [gateway]). Take the # away, or
# try one: harness up --agent claude=1. Its image is built when it is first needed; `harness images
# claude` builds it now. Without any agent `harness up` serves the clients that you connect: harness
# connect NAME --client claude

{_own_models()}
# count = 2
# model = "..."           # without it the program's own choice

{_any_models()}
# account = "local"       # with [gateway.accounts.local] api = "openai", base_url = "http://..."
# model = "..."

# [agents.mine]
# kind = "command"        # any command line; or "scripted": plays a playbook, without a model
# count = 2
# command = ["my-agent", "--once"]
# image = "my-image"      # built from the base image that `harness images` names, with your agent in it
# memory_mb = 2048
# cpus = 1.0
# prompt = "..."          # what these agents are told besides; with prompt_only = true instead of the rules
# role = "worker"         # claims tasks and lands changes. "planner": splits the aim in its prompt into
#                         # tasks. "reviewer": reads what landed, leaves notes and tasks. Neither of the two
#                         # may claim or push.
"""


def _own_models() -> str:
    """Return the header of a table for a program with its vendor's models."""
    first, *others = (name for name, kind in PROGRAMS.items() if kind.program and not kind.program.any_model)
    return f"{f'# [agents.{first}]':<26}# likewise {' and '.join(others)}"


def _any_models() -> str:
    """Return the header of a table for a program that asks whatever model an account has."""
    first, *others = (name for name, kind in PROGRAMS.items() if kind.program and kind.program.any_model)
    return f"{f'# [agents.{first}]':<26}# likewise {' and '.join(others)}: any OpenAI-compatible model"


def task_text(found: Inspection) -> str:
    """Return a first task for what was found."""
    module = found.parts[0]
    return f"""\
+++
id = "001"
title = "A first small improvement"
module = {_string(module.name)}
# paths = {_strings(module.paths)}    # only a part of the module
# needs = ["002"]          # tasks to be done before this one
# cases = ["*"]            # cases of the oracle that must pass when it lands
# removes = ["old/*"]      # tests that may be gone when it lands: without it nothing that main reports may
# priority = 0             # higher goes first
# result = "report"        # it changes no file: its agent hands in a text
+++
Say here what is to be done, as to a new colleague: what is wrong or missing, where to look, what must hold
when it is done. The agent reads this text, the paths that it may change ({", ".join(module.paths)}) and the
failing cases.

Replace this task with one of your own before the first `harness up`.
"""


def _seen(found: Inspection) -> str:
    if not found.languages:
        return "no code was found yet"
    return "it saw " + ", ".join(f"{language} ({count} files)" for language, count in found.languages[:4])


def _environment(found: Inspection) -> str:
    """Return the environment's table, with a comment; "" where the repository shows no need of one."""
    needs = found.needs
    if not needs.packages:
        return ""
    env = ", ".join(f"{name} = {_string(value)}" for name, value in needs.env.items())
    return f"""\
# What tests need besides the code: one image for the oracle's boxes and for agents' sandboxes, made once
# from these files of {found.branch} and from nothing else, and made again when one of them changes. Only here
# is there a network. docs/environments.md has the commands for each language, and how to start from an image,
# a Dockerfile or a devcontainer.json.

[environments.default]
packages = {_strings(needs.packages)}    # Debian packages
locks = {_strings(needs.locks)}
setup = {_strings(needs.setup)}
env = {{ {env} }}

"""


def _module(repo: str, name: str, paths: tuple[str, ...]) -> str:
    return f"[modules.{name}]\nrepo = {_string(repo)}\npaths = {_strings(paths)}\n"


def _oracle(repo: str, found: Inspection) -> str:
    chosen = found.tests[0] if found.tests else PLACEHOLDER
    protected = [*(f"{name}/**" for name in found.test_directories), *steering.globs(chosen.language)]
    lines = [] if found.tests else ["# No test command was found: put yours here."]
    lines += [f"# Also found: {other.command}" for other in found.tests[1:]]
    lines += [
        "",
        "[oracle.tests]",
        'kind = "command"          # or "differential": the same inputs to your program and to a reference',
        f"repo = {_string(repo)}",
        f"command = {_string(chosen.command)}",
        *_results(chosen),
        *_canary(chosen),
        *_packages(found, chosen),
        "# Who writes these writes the verdict, so no agent may: what steers a test run, and the tests.",
        "# To let agents write tests, take those out: a test that the main branch runs must still run, and",
        "# pass, after each change.",
        f"protect = {_lines(protected)}",
    ]
    return "\n".join(lines) + "\n"


def _packages(found: Inspection, chosen: TestCommand) -> list[str]:
    if found.needs.packages:
        return []
    return [f"packages = {_strings(chosen.packages)}    # Debian packages that the tests need"]


def _results(chosen: TestCommand) -> list[str]:
    if chosen.results is not None:
        return [f"results = {_string(chosen.results)}"]
    return [
        '# results = "..."        # a JUnit XML file, the JSON file of jest, a glob of these; pytest, cargo,',
        "#                        # go or tap; without it the exit status is the only case",
    ]


def _canary(chosen: TestCommand) -> list[str]:
    if chosen.canary is None:
        return [
            '# canary = "..."         # a test file with {name} in it: without one, code under test that',
            "#                        # just exits looks like success",
        ]
    return [
        "# Each run adds two tests there, of which one must fail: that tells a run that was meddled with.",
        f"canary = {_string(chosen.canary)}",
        *([f"canary_text = {_string(chosen.canary_text)}"] if chosen.canary_text else []),
    ]


def _lines(texts: Sequence[str]) -> str:
    """Return a list of strings over several lines."""
    rows = textwrap.wrap(
        ", ".join(map(_string, texts)), LIST_CHARS, break_long_words=False, break_on_hyphens=False
    )
    return "[\n" + "".join(f"    {row}\n" for row in rows) + "]"


def _string(text: str) -> str:
    """Return the text as TOML has it, which reads a JSON string as the same text."""
    return json.dumps(text, ensure_ascii=False)


def _strings(texts: Iterable[str]) -> str:
    return "[" + ", ".join(_string(text) for text in texts) + "]"
