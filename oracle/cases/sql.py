"""Owns the .sql format: a case is a script; its pieces are its statements, split and ended as sqlite3's shell
does.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from oracle.cases import sections

# A token is a string, quoted name, comment, or one other character; an unclosed one runs to the end of the
# text.
TOKEN = re.compile(
    r"'(?:[^']|'')*(?:'|\Z)"
    r'|"(?:[^"]|"")*(?:"|\Z)'
    r"|`[^`]*(?:`|\Z)|\[[^\]]*(?:\]|\Z)"
    r"|--[^\n]*|/\*.*?(?:\*/|\Z)|\w+|.",
    re.DOTALL,
)
# Without any of these, the first `;` ends a statement.
SUBTLE = re.compile(r"['\"`\[]|--|/\*|trigger", re.IGNORECASE)
BLANKS = " \t\v\f\r\n"
HEAD_CHARS = 2000  # where CREATE TRIGGER is looked for
TRIGGER = re.compile(r"create\s+(?:temp\s+|temporary\s+)?trigger\b", re.IGNORECASE)


def read(text: str) -> Iterator[sections.Section]:
    """Yield the cases of a file; one without a statement is a problem."""
    for section in sections.split(text):
        if section.problem or any(not _is_comment(piece) for piece in pieces(section.text)):
            yield section
        else:
            yield replace(section, problem="the case has no statement, only comments")


def pieces(text: str) -> list[str]:
    """Return statements with their `;` and line end, and dot-commands by line; joined they are the text
    again.
    """
    found: list[str] = []
    start = 0
    while start < len(text):
        end = _statement_end(text, start)
        found.append(text[start:end])
        start = end
    return found


def ended(text: str) -> str | None:
    """Return the statement with the `;` that a shell waits for, or None where no `;` would end it.

    As sqlite3_complete() sees it: CREATE TRIGGER ends only with `; END ;`.
    """
    whole = text.rstrip(BLANKS)
    if not SUBTLE.search(text):
        return f"{whole}\n" if whole.endswith(";") else f"{whole}\n;\n"
    tokens = TOKEN.findall(whole)
    if _is_open(tokens[-1]):
        return None
    words = [token.lower() for token in tokens if not token[0].isspace() and token[:2] not in ("--", "/*")]
    if words[-1:] != [";"]:
        whole, words = f"{whole}\n;", [*words, ";"]
    return None if _is_trigger(words) and words[-3:] != [";", "end", ";"] else f"{whole}\n"


def _is_open(token: str) -> bool:
    """Return True if the last token runs to the end of the text because nothing closes it."""
    match token[0]:
        case "'" | '"':
            return token.count(token[0]) % 2 == 1
        case "`" | "[":
            return len(token) < 2 or token[-1] != {"`": "`", "[": "]"}[token[0]]
    return token[:2] == "/*" and (len(token) < 4 or not token.endswith("*/"))


def _is_trigger(words: list[str]) -> bool:
    head = words[1:] if words[:1] == ["explain"] else words
    return head[:1] == ["create"] and "trigger" in head[1:3]


def _statement_end(text: str, start: int) -> int:
    depth, at = 0, start
    while at < len(text):
        found = TOKEN.match(text, at)
        assert found  # a token is any character
        token = found[0]
        if token == "." and not text[start:at].strip():
            # A dot-command of the shell ends with its line, whatever quotes it holds.
            return _line_end(text, at)
        at += len(token)
        if token == ";" and depth == 0:
            return _blank_to_line_end(text, at)
        depth = _depth(depth, token, text, start)
    return at


def _depth(depth: int, token: str, text: str, start: int) -> int:
    """Return how many BEGIN and CASE are open after the token, if it stands inside CREATE TRIGGER.

    There `;` ends the statement only after the END of its BEGIN; CASE has an END of its own.
    """
    word = token.lower()
    if word not in ("begin", "case", "end") or not TRIGGER.match(_head(text, start)):
        return depth
    return depth + 1 if word in ("begin", "case") else max(depth - 1, 0)


def _head(text: str, start: int) -> str:
    """Return the first words of a statement, without comments."""
    return re.sub(r"--[^\n]*\n|/\*.*?\*/", " ", text[start : start + HEAD_CHARS], flags=re.DOTALL).lstrip()


def _is_comment(piece: str) -> bool:
    return all(token[0].isspace() or token[0][:2] in ("--", "/*") for token in TOKEN.finditer(piece))


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def _blank_to_line_end(text: str, at: int) -> int:
    end = _line_end(text, at)
    return at if text[at:end].strip() else end
