"""What the script that places a tree decides by itself: times, and what a build has added."""

from pathlib import Path

from oracle.inside import formats, prepare

ELF = b"\x7fELF\2\1\1" + bytes(57)


def test_every_source_has_one_time_and_compiled_code_an_older_one(tmp_path: Path):
    for name, content in {"z.c": b"int x;", "engine": ELF, "a/b.py": b"", "engine.txt": b"made\n"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "link").symlink_to("engine")
    prepare.give_times(str(tmp_path))
    times = {name: (tmp_path / name).lstat().st_mtime_ns for name in ("z.c", "a/b.py", "engine.txt", "link")}
    assert len(set(times.values())) == 1
    assert (tmp_path / "engine").stat().st_mtime < min(times.values()) / 1e9 - 86_400


def test_what_a_build_adds_is_told_by_path_and_a_directory_of_many_as_one():
    before = {"src/a.c", "Makefile"}
    many = {f"node_modules/m{number}/index.js" for number in range(prepare.MADE_IN_DIRECTORY_MAX + 1)}
    after = before | {"engine", "src/a.o", "out/x", "out/deep/y"} | many
    assert prepare.added(before, after) == ["engine", "node_modules/", "out/deep/y", "out/x", "src/a.o"]


def test_many_files_that_a_build_adds_beside_sources_are_told_one_by_one():
    more = {f"src/{number:03}.o" for number in range(prepare.MADE_IN_DIRECTORY_MAX + 1)}
    assert prepare.added({"src/a.c"}, {"src/a.c"} | more) == sorted(more)


def test_compiled_code_is_known_by_how_it_begins():
    assert all(
        formats.is_compiled(head)
        for head in (
            ELF,
            b"!<arch>\nx",
            b"\0asm\1\0\0\0",
            b"MZ\x90\0",
            b"FOR1\0\0\0\0BEAM",
            b"\xca\xfe\xba\xbe",
        )
    )
    assert not any(
        formats.is_compiled(head)
        for head in (b"", b"MZ is a text", b"#!/bin/sh\n", b"FOR1 and all", b"\x89PNG\r\n", b"PK\3\4")
    )
