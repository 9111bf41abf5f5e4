"""The only door to Docker, against a real engine."""

import socket
import time
from collections.abc import Callable

import pytest

from harness.boxes import frames
from harness.boxes.containers import IDLE, Box, BoxBroke, BoxSpec, Engine

pytestmark = pytest.mark.containers

MB = 1 << 20
Boxed = Callable[..., Box]


def test_sixteen_megabytes_go_in_and_come_out_at_the_same_time(boxed: Boxed) -> None:
    data = bytes(range(256)) * (16 * MB // 256)
    ended = boxed().exec(["cat"], stdin=data, timeout_s=60, output_bytes_max=32 * MB)
    assert (ended.exit, ended.stdout == data, ended.truncated) == (0, True, False)


def test_a_command_that_closes_its_stdin_early_does_not_block_the_sender(boxed: Boxed) -> None:
    ended = boxed().exec(["head", "-c", "5"], stdin=b"x" * (8 * MB), timeout_s=30)
    assert (ended.exit, ended.stdout) == (0, b"xxxxx")


def test_the_outputs_and_the_exit_status_are_kept_apart(boxed: Boxed) -> None:
    ended = boxed().exec(["sh", "-c", "cat >&2; echo out; exit 7"], stdin=b"in", timeout_s=20)
    assert (ended.exit, ended.stdout, ended.stderr, ended.timed_out) == (7, b"out\n", b"in", False)


def test_no_output_of_a_fast_command_is_lost(boxed: Boxed) -> None:
    box = boxed()
    assert {box.exec(["echo", "quick"], timeout_s=20).stdout for _ in range(30)} == {b"quick\n"}


def test_output_beyond_its_limit_is_cut_and_said_to_be(boxed: Boxed) -> None:
    ended = boxed().exec(["head", "-c", "100000", "/dev/zero"], timeout_s=20, output_bytes_max=1000)
    assert (ended.exit, len(ended.stdout), ended.truncated) == (0, 1000, True)


def test_a_time_out_ends_every_process_of_the_command_even_a_daemonised_one(boxed: Boxed) -> None:
    box = boxed()
    script = "echo before; setsid -f sleep 987; env -i sleep 988 & sleep 989"
    ended = box.exec(["sh", "-c", script], timeout_s=1)
    assert (ended.timed_out, ended.exit, ended.stdout) == (True, None, b"before\n")
    left = box.exec(["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"], timeout_s=10).stdout
    assert b"98" not in left
    assert box.alive()


def test_a_command_that_was_stopped_goes_on_after_a_silence_and_one_that_stays_silent_has_timed_out(
    boxed: Boxed,
) -> None:
    box = boxed()
    ended = box.exec(["sh", "-c", "echo before; kill -STOP $$; echo after"], timeout_s=60, silence_s=1)
    assert (ended.exit, ended.stdout, ended.timed_out) == (0, b"before\nafter\n", False)
    ended = box.exec(["sh", "-c", "echo before; sleep 50; echo after"], timeout_s=60, silence_s=1)
    assert (ended.timed_out, ended.stdout) == (True, b"before\n")
    assert (
        b"talking"
        in box.exec(
            ["sh", "-c", "for n in 1 2 3 4; do sleep 0.5; echo talking; done"], timeout_s=60, silence_s=1.5
        ).stdout
    )


def test_a_child_that_keeps_the_output_open_does_not_keep_the_caller(boxed: Boxed) -> None:
    ended = boxed().exec(["sh", "-c", "sleep 60 & exit 3"], timeout_s=30)
    assert (ended.exit, ended.timed_out) == (3, False)


def test_a_missing_program_is_a_command_that_ended_and_a_dead_box_is_a_broken_world(boxed: Boxed) -> None:
    box = boxed()
    assert box.exec(["no-such-program"], timeout_s=20).exit in (126, 127)
    box.kill()
    assert box.wait(10) == 137
    with pytest.raises(BoxBroke):
        box.exec(["true"], timeout_s=5)


def test_a_box_that_dies_during_a_command_is_a_broken_world(boxed: Boxed) -> None:
    box = boxed(argv=("sh", "-c", "sleep 1.5"))
    with pytest.raises(BoxBroke):
        box.exec(["sleep", "30"], timeout_s=20)


def test_an_idle_box_reaps_orphans_and_stops_at_once(boxed: Boxed) -> None:
    box = boxed(pids=16)
    for _ in range(6):
        box.exec(["sh", "-c", "for i in 1 2 3 4; do setsid -f true; done"], timeout_s=10)
    states = box.exec(["sh", "-c", "grep -h ^State: /proc/[0-9]*/status"], timeout_s=10).stdout
    assert b"zombie" not in states
    box.stop(60)
    assert box.wait(20) == 0, "it was not killed when its time was up"


def test_logs_are_followed_from_the_first_line_to_the_last(boxed: Boxed) -> None:
    box = boxed(argv=("sh", "-c", "echo one; sleep 0.3; echo two >&2; sleep 0.3; printf three"))
    assert list(box.follow_logs()) == [("stdout", b"one"), ("stderr", b"two"), ("stdout", b"three")]
    assert box.wait(5) == 0


def test_waiting_is_bounded(boxed: Boxed) -> None:
    assert boxed().wait(0.2) is None


def test_a_box_that_cannot_start_leaves_nothing_behind(engine: Engine, run: str, base_image: str) -> None:
    labels = {"harness.run": run, "harness.kind": "cannot-start"}
    for spec in (
        BoxSpec("localhost/no/such/image:1", IDLE, f"{run}-none", labels),
        BoxSpec(base_image, ("/no/such/program",), f"{run}-none", labels),
    ):
        with pytest.raises(BoxBroke):
            engine.start(spec)
    assert engine.list(labels) == []


def test_a_box_without_labels_is_not_started(engine: Engine, base_image: str) -> None:
    with pytest.raises(AssertionError):
        engine.start(BoxSpec(base_image, IDLE, "unlabelled", {}))


def test_a_sweep_takes_boxes_and_volumes_with_the_label_and_no_others(
    engine: Engine, run: str, base_image: str
) -> None:
    swept_labels = {"harness.run": f"{run}-swept", "harness.kind": "test"}
    other_labels = {"harness.run": f"{run}-other", "harness.kind": "test"}
    for labels in (swept_labels, other_labels):
        engine.create_volume(labels["harness.run"], labels)
        engine.start(BoxSpec(base_image, IDLE, labels["harness.run"], labels))
    engine.start(BoxSpec(base_image, ("true",), f"{run}-swept-ended", swept_labels)).wait(10)
    swept = engine.sweep({"harness.run": f"{run}-swept"})
    assert (swept.boxes, swept.volumes) == (2, 1)
    assert engine.list(swept_labels) == []
    assert [box.name for box in engine.list(other_labels, running_only=True)] == [f"{run}-other"]
    assert list(engine.volumes(other_labels)) == [f"{run}-other"]
    engine.sweep({"harness.run": f"{run}-other"})


def test_removing_what_is_gone_is_no_error(boxed: Boxed, engine: Engine) -> None:
    box = boxed()
    for _ in range(2):
        box.remove()
        box.kill()
        box.stop(1)
        engine.remove_volume("harness-no-such-volume")
    assert not box.alive()


def test_frames_are_split_wherever_the_stream_is_cut() -> None:
    stream = frames.HEADER.pack(1, 3) + b"abc" + frames.HEADER.pack(2, 0) + frames.HEADER.pack(2, 4) + b"defg"
    for size in range(1, len(stream) + 1):
        demux, seen = frames.Demux(), {1: b"", 2: b""}
        for start in range(0, len(stream), size):
            for number, part in demux.feed(stream[start : start + size]):
                seen[number] += part
        assert seen == {1: b"abc", 2: b"defg"}


def test_what_a_command_says_last_is_heard_though_it_was_quiet_until_then() -> None:
    """It speaks, and ends, between the look that found nothing and the question whether it has ended."""
    ours, theirs = socket.socketpair()
    talk = frames.Talk(frames.Hijacked(ours), b"", 100)

    def ended() -> bool:
        theirs.sendall(frames.HEADER.pack(1, 4) + b"last")
        return True

    assert talk.run(time.monotonic() + 20, ended=ended)
    assert talk.stdout == b"last"


def test_the_last_line_of_a_box_that_ends_at_once_is_never_missed(boxed: Boxed) -> None:
    for _ in range(5):
        box = boxed(argv=("sh", "-c", "seq 1 500; printf last"))
        lines = [line for _, line in box.follow_logs()]
        assert (len(lines), lines[0], lines[-1]) == (501, b"1", b"last")


def test_a_long_line_comes_out_whole(boxed: Boxed) -> None:
    box = boxed(argv=("sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; echo; echo end"))
    assert [len(line) for _, line in box.follow_logs()] == [100000, 3]
