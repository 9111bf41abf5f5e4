"""What agents share besides code: notes and the progress report."""

from collections.abc import Iterator

import pytest

from . import wide
from .conftest import Server
from .wide import refused


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with wide.serving(tmp_path_factory.mktemp("memory")) as made:
        yield made


def test_notes_are_read_newest_first_with_their_author(server: Server):
    one, two = server.agent("one"), server.agent("two")
    one.call("write_note", topic="order/a", text="first")
    two.call("write_note", topic="order/a", text="second")
    assert one.call("read_notes", topic="order/a")["text"] == "order/a (two): second\norder/a (one): first"


def test_a_topic_includes_those_below_it_and_none_that_only_begins_alike(server: Server):
    one = server.agent("one")
    for topic in ("tree", "tree/leaf", "treehouse", "tree_x", "tre%"):
        one.call("write_note", topic=topic, text=f"about {topic}")
    assert one.call("read_notes", topic="tree")["text"].count("about") == 2
    assert one.call("read_notes", topic="tre%")["text"].count("about") == 1
    assert one.call("read_notes", topic="nothing")["text"] == "no notes on nothing"


def test_the_same_note_twice_in_a_row_is_one_and_after_another_it_is_two(server: Server):
    one = server.agent("one")
    for text in ("a", "a", "b", "a"):
        assert one.call("write_note", topic="twice", text=text)["status"] == "written"
    assert one.call("read_notes", topic="twice")["text"].count("\n") == 2


@pytest.mark.parametrize(("topic", "text"), [("", "x"), ("t", ""), ("t" * 101, "x"), ("t", "x" * 4_001)])
def test_notes_without_content_or_too_long_are_refused_and_not_written(server: Server, topic: str, text: str):
    refused(server.agent("one").call("write_note", topic=topic, text=text), "bad_request")
    assert "x" * 50 not in server.agent("one").call("read_notes")["text"]


def test_a_claim_brings_the_newest_notes_along(server: Server):
    one = server.agent("claimer")
    one.call("write_note", topic="trap", text="mind the gap")
    claimed = one.call("claim_task", task="M01")
    assert "trap (claimer): mind the gap" in claimed["notes"]
    one.call("release_task", fence=claimed["fence"], outcome="abandoned")


def test_progress_tells_who_holds_what_and_what_is_blocked(server: Server):
    one, two = server.agent("holder"), server.agent("blocker")
    fence = one.call("claim_task", task="M02")["fence"]
    blocked = two.call("claim_task", task="M03")["fence"]
    two.call("release_task", fence=blocked, outcome="blocked", note="waits for\n# a heading")
    text = one.call("read_progress")["text"]
    assert (
        "M02" in text and "holder" in text and "waits for # a heading" in text and "\n# a heading" not in text
    )
    one.call("release_task", fence=fence, outcome="abandoned")
    assert "holder" not in one.call("read_progress")["text"]


def test_progress_does_not_show_leases_whose_time_is_up(server: Server):
    one = server.agent("sleeper")
    one.call("claim_task", task="M04")
    server.clock.ahead_ms += 61_000
    assert "sleeper" not in server.agent("looker").call("read_progress")["text"]


def test_whoever_waits_finds_a_note_as_soon_as_it_is_written(server: Server):
    one, two = server.agent("writer"), server.agent("reader")
    assert two.call("read_notes", topic="signal")["text"] == "no notes on signal"
    one.call("write_note", topic="signal", text="go")
    assert two.call("read_notes", topic="signal")["text"] == "signal (writer): go"
