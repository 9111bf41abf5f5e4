"""Which answers of a reference are none: the reports here are those of the real interpreters and shells."""

import subprocess
import sys

import pytest

from oracle.judging.answer import Answer, sound
from oracle.judging.doubt import doubted

NODE = "/x.js:1\nthrow new Error('no')\n^\n\nError: no\n    at Object.<anonymous> (/x.js:1:7)\n\nNode.js v20.11.0\n"
GO = "panic: no\n\ngoroutine 1 [running]:\nmain.main()\n\t/x.go:4 +0x25\nexit status 2\n"
RUST = "\nthread 'main' panicked at src/main.rs:2:5:\nno\nnote: run with `RUST_BACKTRACE=1` environment variable\n"
JAVA = 'Exception in thread "main" java.lang.RuntimeException: no\n\tat X.main(X.java:3)\n'


def ran(*argv: str) -> Answer:
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    return Answer(ended.stdout, ended.returncode, ended.stderr)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (ran(sys.executable, "-c", "import no_such_module"), "No module named 'no_such_module'"),
        (ran("sh", "-c", "no-such-program"), "no-such-program"),
        (ran("sh", "-c", "no-such-program | cat"), "no-such-program"),
        (ran("bash", "-c", "no-such-program; true"), "no-such-program"),
        (ran("sh", "-c", "kill -SEGV $$"), "killed by signal 11"),
        (ran("sh", "-c", "sh -c 'kill -SEGV $$'; exit $?"), "signal"),
        (Answer("", 1, NODE), "Node.js"),
        (Answer("", 2, GO), "broke down"),
        (Answer("", 101, RUST), "broke down"),
        (Answer("", 1, JAVA), "broke down"),
        (Answer("", 124, timed_out=True), "no end"),
    ],
)
def test_a_reference_that_breaks_down_has_not_answered_and_its_words_are_kept(answer: Answer, words: str):
    found = doubted(answer, ())
    assert not sound(found) and words in (found.crash() or "")


@pytest.mark.parametrize(
    "answer",
    [
        Answer("1\n", 0),
        Answer("", 1, "Error: near line 1: no such table: t\n"),
        Answer("Traceback (most recent call last):\n", 0),
        Answer("", 1, "the file was not found\n"),
        Answer("", 255, "no\n"),
        Answer("", 0, "Traceback (most recent call last):\n  told as a warning\n"),
    ],
)
def test_an_error_that_a_reference_was_made_to_tell_is_an_answer(answer: Answer):
    assert doubted(answer, ()) == answer and sound(answer)


def test_declared_exit_statuses_are_answers_and_no_others_are():
    raised = ran(sys.executable, "-c", "raise ValueError('told')")
    assert doubted(raised, (0, 1)) == raised and sound(doubted(raised, (0, 1)))
    other = doubted(Answer("", 3, "worse\n"), (0, 1))
    assert other.crash() == "exit status 3, which is not in `reference_exit`: worse"
