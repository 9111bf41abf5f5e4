"""The files that run when a command runs: those that it names, and those that these name in turn.

Rule: it follows one level and reads nothing by itself; a word counts as a file only where `read` has one, so
that a guess too many costs nothing.
"""

import json
import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Read = Callable[[str], str | None]

SHELLS = frozenset(("sh", "bash", "dash", "zsh", "ksh", "ash", "fish"))
INTERPRETERS = frozenset(
    ("node", "nodejs", "deno", "bun", "tsx", "ts-node", "ruby", "perl", "php", "lua", "luajit", "Rscript")
    + ("julia", "groovy", "osascript", "pwsh", "tclsh", "elixir", "escript", "swift")
)
PYTHON = re.compile(r"(python|pypy)[0-9.]*")
PYTHON_WITH_VALUE, SHELL_WITH_VALUE = "WX", "oO"
LONG_WITH_VALUE = frozenset(("--with", "--extra", "--group", "--python", "--kill-after", "--signal"))
# What runs the rest of its line: how many words of its own stand before that, and which options have a value.
WRAPPERS: Mapping[str, tuple[int, str]] = {
    **dict.fromkeys(("time", "exec", "command", "nohup", "eval", "npx", "bunx", "setsid"), (0, "")),
    "timeout": (1, "ks"),
    "env": (0, "uC"),
    "nice": (0, "n"),
    "ionice": (0, "cn"),
    "stdbuf": (0, "ioe"),
    "sudo": (0, "u"),
    "xvfb-run": (0, "sn"),
}
# What runs the rest of its line after a word such as `run`.
RUNNERS = frozenset(
    ("uv", "poetry", "pipenv", "hatch", "pdm", "rye", "coverage", "bundle", "pixi", "deno", "bun")
)
RUN_WORDS = frozenset(("run", "exec"))
MAKES = frozenset(("make", "gmake"))
MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
PACKAGE_MANAGERS = frozenset(("npm", "yarn", "pnpm", "bun"))
PACKAGE = "package.json"
SCRIPT_OF = {"t": "test", "tst": "test", "it": "install-test"}  # npm's short forms
KEYWORDS = frozenset(("if", "then", "elif", "else", "do", "while", "until", "!", "{", "(", "time"))
# Options whose value is a file that a tool reads its orders from, or code that it loads.
CONFIG = re.compile(
    r"(-c|-r|-f|--?(config|configfile|config-file|rcfile|require|import|loader|makefile|file|preset|setup"
    r"|project|reporter|runner|env-file|test-setup|globalSetup|setupFiles))(=(?P<value>.*))?"
)
DIRECTORY_OPTIONS = frozenset(("-C", "--directory", "--prefix", "--cwd", "--dir"))
TEXT_CHARS_MAX = 200_000  # of one file that is followed
COMMANDS_MAX = 2_000  # of one text: a script of more is nobody's test command
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
RULE = re.compile(r"([^\s#:=][^:=]*):(?!=)([^=]*)")
VARIABLE = re.compile(r"(?m)^([A-Za-z_]\w*)[ \t]*[:?]?=[ \t]*(.*)$")
INCLUDE = re.compile(r"(?m)^[ ]*-?s?include[ \t]+(.+)$")


@dataclass(frozen=True)
class Named:
    """A file that a command names. `targets`: what of it is run, where it is a Makefile or package.json."""

    path: str
    targets: tuple[str, ...] = ()


def of(commands: Iterable[str], read: Read) -> dict[str, str]:
    """Return the files that these commands run, each with the command or the file that names it.

    `read` returns the text of a path from the repository's top, None where there is no such file.
    """
    found: dict[str, str] = {}
    for command in commands:
        for named in _in_text(command, ""):
            text = read(named.path)
            if text is None:
                continue
            found.setdefault(named.path, command)
            for further in _followed(named, text[:TEXT_CHARS_MAX]):
                if further.path not in found and read(further.path) is not None:
                    found[further.path] = named.path
    return found


def _followed(named: Named, text: str) -> Iterator[Named]:
    """Yield what a named file names in its turn."""
    name, directory = posixpath.basename(named.path), posixpath.dirname(named.path)
    if name == PACKAGE:
        yield from _of_scripts(text, named.targets, directory)
    elif name in MAKEFILES or name.endswith(".mk"):
        yield from _of_makefile(text, named.targets, directory)
    elif name.endswith((".sh", ".bash")) or _is_shell_script(text):
        yield from _in_text(text, "")  # a script is started from where the command is
        yield from _in_text(text, directory)


def _is_shell_script(text: str) -> bool:
    first = text.partition("\n")[0]
    return first.startswith("#!") and bool(SHELLS & set(re.split(r"[/\s]+", first)))


def _of_scripts(text: str, names: Sequence[str], directory: str) -> Iterator[Named]:
    try:
        scripts = json.loads(text).get("scripts")
    except (ValueError, AttributeError):
        return
    if not isinstance(scripts, dict):
        return
    for name in names:
        for step in (f"pre{name}", name, f"post{name}"):
            if isinstance(scripts.get(step), str):
                yield from _in_text(scripts[step], directory)


def _of_makefile(text: str, targets: Sequence[str], directory: str) -> Iterator[Named]:
    text = text.replace("\\\n", " ")
    variables = dict(VARIABLE.findall(text))
    for line in INCLUDE.findall(text):
        yield from (_at(word, directory) for word in _expanded(line, variables).split())
    for command in _recipes(text, targets):
        yield from _in_text(_expanded(command, variables), directory)


def _recipes(text: str, targets: Sequence[str]) -> Iterator[str]:
    """Yield the commands of the targets, or of the first one, and of all that they need."""
    needs: dict[str, list[str]] = {}
    commands: dict[str, list[str]] = {}
    now: list[str] = []
    for line in text.splitlines():
        if line.startswith("\t"):
            for target in now:
                commands.setdefault(target, []).append(line.strip().lstrip("@-+"))
        elif rule := RULE.match(line):
            now = rule[1].split()
            needed, _, command = rule[2].partition(";")
            for target in now:
                needs.setdefault(target, []).extend(needed.split())
                commands.setdefault(target, []).append(command.strip())
        elif line.strip():
            now = []
    todo = list(targets) or [name for name in needs if not name.startswith(".")][:1]
    seen: set[str] = set()
    while todo:
        target = todo.pop()
        if target not in seen:
            seen.add(target)
            yield from commands.get(target, ())
            todo += needs.get(target, ())


def _expanded(text: str, variables: dict[str, str]) -> str:
    """Return the text with a Makefile's own variables in it, one level deep."""
    known = {"MAKE": "make", "SHELL": "sh", **variables}
    return re.sub(r"\$[({](\w+)[)}]", lambda found: known.get(found[1], found[0]), text)


def _in_text(text: str, directory: str) -> Iterator[Named]:
    """Yield the files that a shell text names, started in `directory`. After a `cd` each may be meant from
    there or, behind a parenthesis, from where it was started.
    """
    here = directory
    for words in _commands(text):
        if words[0] == "cd" and len(words) > 1:
            here = _joined(here, words[1])
            continue
        for place in dict.fromkeys((here, directory)):
            yield from _in_command(words, place)


def _commands(text: str) -> Iterator[list[str]]:
    """Yield the simple commands of a shell text, as lists of words."""
    text = text.replace("\\\n", " ")
    count = 0
    for line in text.splitlines():
        words: list[str] = []
        for word in [*_words(line), ";"]:
            if not set(word) <= set(";|&()\n"):
                words.append(word)
            elif words:
                yield words
                words, count = [], count + 1
                if count > COMMANDS_MAX:
                    return


def _words(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&()")
    lexer.whitespace_split, lexer.commenters = True, "#"
    try:
        return list(lexer)
    except ValueError:  # a quotation over several lines
        return line.split()


def _in_command(words: Sequence[str], directory: str) -> Iterator[Named]:
    words = _unwrapped(words)
    if not words:
        return
    program, rest = posixpath.basename(words[0]), words[1:]
    if "/" in words[0] or "." in words[0]:
        yield _at(words[0], directory)
    yield from _configured(rest, directory)
    yield from (_at(after, directory) for before, after in zip(words, rest, strict=False) if before == "<")
    if program in MAKES:
        yield from _made(rest, directory)
    elif program in PACKAGE_MANAGERS and not _is_script(rest):
        yield from _scripts(rest, directory)
    else:
        yield from _interpreted(program, rest, directory)


def _unwrapped(words: Sequence[str]) -> Sequence[str]:
    """Return the command that runs in the end: without assignments, keywords, and what only starts others."""
    while words:
        program = posixpath.basename(words[0])
        if ASSIGNMENT.fullmatch(words[0]) or words[0] in KEYWORDS:
            words = words[1:]
        elif program in WRAPPERS:
            own, with_value = WRAPPERS[program]
            words = _without_options(words[1:], with_value)[own:]
        elif (
            program in RUNNERS
            and len(words) > 1
            and words[1] in RUN_WORDS
            and program not in PACKAGE_MANAGERS
        ):
            words = _run_by(program, words[2:])
        else:
            return words
    return words


def _run_by(program: str, words: Sequence[str]) -> Sequence[str]:
    """Return what such a runner runs: some run a program, and some a script or a module of their own."""
    if program in ("coverage", "deno"):
        return ["python" if program == "coverage" else "node", *words]
    return _without_options(words)


def _without_options(words: Sequence[str], with_value: str = "") -> Sequence[str]:
    """Return the words from the first that is no option. `with_value`: letters of options that have one."""
    at = 0
    while at < len(words) and (words[at].startswith("-") or ASSIGNMENT.fullmatch(words[at])):
        has_value = words[at][-1] in with_value and not words[at].startswith("--")
        at += 2 if has_value or words[at] in LONG_WITH_VALUE else 1
    return words[at:]


def _configured(words: Sequence[str], directory: str) -> Iterator[Named]:
    """Yield the values of options that name configuration or code to load."""
    for at, word in enumerate(words):
        option = CONFIG.fullmatch(word)
        if option is None:
            continue
        value = option["value"] or (words[at + 1] if at + 1 < len(words) else "")
        yield _at(value, directory)


def _interpreted(program: str, words: Sequence[str], directory: str) -> Iterator[Named]:
    is_python = PYTHON.fullmatch(program) is not None
    if program in (".", "source"):
        yield from (_at(word, directory) for word in words[:1])
    elif program in SHELLS and "-c" in _options(words):
        yield from _in_text(words[list(words).index("-c") + 1], directory)
    elif is_python and "-m" in _options(words):
        yield from _module(words[list(words).index("-m") + 1], directory)
    elif is_python and "-c" in _options(words):
        return
    elif is_python or program in SHELLS or program in INTERPRETERS or program.startswith("$"):
        with_value = PYTHON_WITH_VALUE if is_python else SHELL_WITH_VALUE
        yield from (_at(word, directory) for word in _without_options(words, with_value)[:1])


def _options(words: Sequence[str]) -> Sequence[str]:
    """Return the options before the first other word, without the last word of all, which none can follow."""
    return words[: len(words) - len(_without_options(words))] if len(_without_options(words)) else ()


def _module(name: str, directory: str) -> Iterator[Named]:
    path = name.replace(".", "/")
    for file in (f"{path}.py", f"{path}/__main__.py", f"{path}/__init__.py"):
        yield _at(file, directory)


def _made(words: Sequence[str], directory: str) -> Iterator[Named]:
    """Yield the Makefiles that this call of make reads, with the targets that it makes."""
    files, targets = [], []
    for before, word in zip(["", *words], words, strict=False):
        if before in DIRECTORY_OPTIONS:
            directory = _joined(directory, word)
        elif before in ("-f", "--file", "--makefile"):
            files.append(word)
        elif not word.startswith("-") and not ASSIGNMENT.fullmatch(word) and before not in ("-j", "-l"):
            targets.append(word)
    for file in files or MAKEFILES:
        yield Named(_joined(directory, file), tuple(targets))


def _is_script(words: Sequence[str]) -> bool:
    """Return True if a package manager is told to run a file, as bun can."""
    return bool(words) and words[0].endswith((".js", ".ts", ".mjs", ".cjs", ".tsx"))


def _scripts(words: Sequence[str], directory: str) -> Iterator[Named]:
    names = []
    for before, word in zip(["", *words], words, strict=False):
        if before in DIRECTORY_OPTIONS:
            directory = _joined(directory, word)
        elif word == "--":
            break
        elif not word.startswith("-") and word not in ("run", "run-script", "exec"):
            names.append(SCRIPT_OF.get(word, word))
    yield Named(_joined(directory, PACKAGE), tuple(names[:1]))


def _at(word: str, directory: str) -> Named:
    return Named(_joined(directory, word))


def _joined(directory: str, word: str) -> str:
    """Return a path from the repository's top; one that leaves it begins with ".." and is no file of it."""
    path = posixpath.normpath(posixpath.join(directory, word)) if word else ""
    return "" if path == "." else path
