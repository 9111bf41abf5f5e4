"""Characters to tokens, and the cursor that parsers read them with.

A token is (kind, value, word). kind "word": value as written, word in upper case; "op": value and word are the sign;
"name": a quoted identifier; "value": a literal. Anything that starts with a quote, a point or a slash-star
is left to literals.py: read(text, start) -> (token or None, end).
"""
from minisql import SqlError, need
from minisql.parser.numbers import number

SIGNS = ("<=", ">=", "<>", "!=", "==", "||", "<<", ">>", "(", ")", ",", ";", "+", "-", "*", "/", "%", "<", ">", "=", "&", "|", "~", ".")
END = ("end", None, "")
RESERVED = frozenset(
    "SELECT FROM WHERE GROUP HAVING ORDER LIMIT OFFSET UNION INTERSECT EXCEPT JOIN LEFT INNER CROSS ON USING AND OR NOT AS "
    "CASE WHEN THEN ELSE BETWEEN IN IS LIKE GLOB ESCAPE ISNULL NOTNULL NULL EXISTS SET VALUES DISTINCT TABLE CREATE INSERT INTO".split()
)


def split(script):
    """Yields the tokens of each statement; of one that cannot be read, the SqlError that says so."""
    position, length = 0, len(script)
    tokens = []
    while position < length:
        try:
            token, position = read(script, position)
        except SqlError as error:
            yield error
            tokens = []
            position = script.find(";", position) + 1 or length
            continue
        if token is None:
            continue
        if token[1] != ";" or token[0] != "op":
            tokens.append(token)
        elif tokens:
            yield tokens
            tokens = []
    if tokens:
        yield tokens


def read(text, start):
    """(token, end) of what starts here; the token is None for blanks and comments."""
    first = text[start]
    end = start + 1
    if first.isspace():
        return None, end
    if first.isdigit():
        return literal_number(text, start)
    if first.isalpha() or first == "_":
        while end < len(text) and (text[end].isalnum() or text[end] == "_"):
            end += 1
        word = text[start:end]
        if text[end:end + 1] == "'" and word in "xX":
            return need("parser.literals").read(text, start)
        return ("word", word, word.upper()), end
    if text.startswith("--", start):
        return None, text.find("\n", start) + 1 or len(text)
    if first in "'\"`[" or text.startswith("/*", start) or first == "." and text[end:end + 1].isdigit():
        return need("parser.literals").read(text, start)
    for sign in SIGNS:
        if text.startswith(sign, start):
            return ("op", sign, sign), start + len(sign)
    raise SqlError("unrecognized token: " + first)


def literal_number(text, start):
    """A run of digits with at most one point; an exponent or a letter after it is for literals.py."""
    end, point = start, False
    while end < len(text) and (text[end].isdigit() or text[end] == "." and not point):
        point = point or text[end] == "."
        end += 1
    if text[end:end + 1].isalpha():
        return need("parser.literals").read(text, start)
    return ("value", number(text[start:end]), ""), end


class Cursor:
    """A place in a statement's tokens. `word` is the current token's word: compare it, or `take` it."""

    def __init__(self, tokens):
        self.tokens = tokens
        self.place = 0
        self.word = tokens[0][2]

    def current(self):
        return self.tokens[self.place] if self.place < len(self.tokens) else END

    def following(self):
        """The word after the current one."""
        return self.tokens[self.place + 1][2] if self.place + 1 < len(self.tokens) else ""

    def at_end(self):
        return self.place >= len(self.tokens)

    def advance(self):
        """The current token; the cursor stands on the next one."""
        token = self.current()
        self.place += 1
        self.word = self.current()[2]
        return token

    def take(self, *words):
        """Whether these words stand here; if so the cursor is past them."""
        for distance, word in enumerate(words):
            place = self.place + distance
            if place >= len(self.tokens) or self.tokens[place][2] != word:
                return False
        self.place += len(words)
        self.word = self.current()[2]
        return True

    def expect(self, *words):
        if not self.take(*words):
            raise self.error()

    def at_name(self):
        """Whether an identifier stands here that is no reserved word."""
        kind, _, word = self.current()
        return kind == "name" or kind == "word" and word not in RESERVED

    def name(self):
        if not self.at_name():
            raise self.error()
        return self.advance()[1]

    def names(self):
        """A list of names in parentheses."""
        self.expect("(")
        found = [self.name()]
        while self.take(","):
            found.append(self.name())
        self.expect(")")
        return found

    def error(self):
        if self.at_end():
            return SqlError("incomplete input")
        return SqlError('near "%s": syntax error' % (self.current()[1],))
