"""Packs that lie and commits that are none, pushed by hand to the real server: refused, and the repository is
as it was.
"""

import hashlib
import zlib
from collections.abc import Callable, Iterator

import pytest

from . import packs
from .hostile import Stand, standing
from .packs import BLOB, COMMIT, FILE, OFS_DELTA, REF_DELTA, TAG, TREE, Object, pack
from .wide import refused

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with standing(tmp_path_factory.mktemp("packs")) as made:
        yield made


def honest(stand: Stand) -> tuple[str, list[Object]]:
    commit, objects = stand.change({(b"x",): (FILE, b"content of x\n" * 20)})
    return commit.oid, objects


Lie = Callable[[list[Object]], bytes]


def with_checksum(body: bytes) -> bytes:
    return body + hashlib.sha1(body).digest()


def one_delta(entry: bytes, size: int = 100) -> Lie:
    """A blob of `size` bytes, the entry after it, and everything else."""
    return lambda objects: pack([packs.blob(b"b" * size), entry, *objects])


def cycle(_: list[Object]) -> bytes:
    """Two deltas that are each upon the other's result: nobody can make either."""
    steps = packs.delta(4, 4, packs.copy(0, 4))
    return pack(
        [
            packs.entry(REF_DELTA, steps, base=bytes.fromhex("1" * 40)),
            packs.entry(REF_DELTA, steps, base=bytes.fromhex("2" * 40)),
        ]
    )


LIES: dict[str, Lie] = {
    "more objects promised": lambda objects: pack(objects, count=len(objects) + 5),
    "fewer objects promised": lambda objects: pack(objects, count=len(objects) - 1),
    "four thousand million objects promised": lambda objects: pack(objects, count=2**32 - 1),
    "a wrong checksum": lambda objects: pack(objects)[:-20] + b"\0" * 20,
    "no checksum": lambda objects: pack(objects)[:-20],
    "cut in its middle": lambda objects: pack(objects)[: len(pack(objects)) // 2],
    "cut after its head": lambda objects: pack(objects)[:12],
    "cut in its head": lambda objects: pack(objects)[:7],
    "nothing at all": lambda _: b"",
    "of a version to come": lambda objects: with_checksum(
        b"PACK" + (9).to_bytes(4, "big") + pack(objects)[8:-20]
    ),
    "no pack": lambda _: b"x" * 5000,
    "an object of no kind": lambda objects: pack([packs.entry(5, b"x"), *objects]),
    "an object of kind nought": lambda objects: pack([packs.entry(0, b"x"), *objects]),
    "the same object twice": lambda objects: pack([*objects, objects[0]]),
    "an object that is longer than it says": lambda objects: pack(
        [packs.entry(BLOB, b"x" * 100, size=10), *objects]
    ),
    "an object that is shorter than it says": lambda objects: pack(
        [packs.entry(BLOB, b"x" * 10, size=100), *objects]
    ),
    "an object of nearly all memory there is": lambda objects: pack(
        [packs.entry(BLOB, b"x" * 10, size=2**62), *objects]
    ),
    "a size without an end": lambda objects: with_checksum(
        b"PACK" + (2).to_bytes(4, "big") + (1).to_bytes(4, "big") + b"\xbf" * 4000
    ),
    "what zlib did not make": lambda objects: with_checksum(pack(objects)[:12] + b"\x35" + b"no zlib" * 50),
    "a delta upon nothing": lambda objects: pack(
        [packs.entry(REF_DELTA, packs.delta(4, 4, packs.copy(0, 4)), base=bytes.fromhex("1" * 40)), *objects]
    ),
    "a delta upon itself": one_delta(
        packs.entry(OFS_DELTA, packs.delta(4, 4, packs.copy(0, 4)), base=packs.back(0))
    ),
    "a delta upon what is before the pack": one_delta(
        packs.entry(OFS_DELTA, packs.delta(4, 4, packs.copy(0, 4)), base=packs.back(1 << 40))
    ),
    "a delta upon the middle of an object": one_delta(
        packs.entry(OFS_DELTA, packs.delta(4, 4, packs.copy(0, 4)), base=packs.back(3))
    ),
    "a delta that copies from beyond its base": one_delta(
        packs.entry(
            REF_DELTA,
            packs.delta(100, 200, packs.copy(50, 200)),
            base=bytes.fromhex(packs.blob(b"b" * 100).oid),
        )
    ),
    "a delta that is mistaken in its base": one_delta(
        packs.entry(
            REF_DELTA, packs.delta(99, 99, packs.copy(0, 99)), base=bytes.fromhex(packs.blob(b"b" * 100).oid)
        )
    ),
    "a delta that makes more than it says": one_delta(
        packs.entry(
            REF_DELTA,
            packs.delta(100, 10, packs.copy(0, 100)),
            base=bytes.fromhex(packs.blob(b"b" * 100).oid),
        )
    ),
    "a delta that ends in a step": one_delta(
        packs.entry(
            REF_DELTA, packs.delta(100, 100, b"\xff\x00"), base=bytes.fromhex(packs.blob(b"b" * 100).oid)
        )
    ),
    "deltas in a circle": cycle,
}


@pytest.mark.parametrize("name", LIES)
def test_a_pack_that_lies_leaves_nothing(stand: Stand, name: str):
    commit, objects = honest(stand)
    with stand.untouched():
        ref = stand.ref()
        answer = stand.wire.push(ref, commit, LIES[name](objects))
        assert not packs.took(answer, ref), answer


@pytest.mark.parametrize("kind", ["rubbish", "another pack"])
def test_what_follows_a_pack_is_not_stored(stand: Stand, kind: str):
    """Git may hear it or not, depending on which of its processes is quicker; the pack before it is whole
    either way.
    """
    more = packs.blob(f"what follows {kind}".encode())
    commit, objects = stand.change({(b"followed",): (FILE, kind.encode())})
    ref = stand.ref()
    answer = stand.wire.push(
        ref, commit.oid, pack(objects) + (pack([more]) if kind == "another pack" else b"rubbish" * 100)
    )
    assert answer[0] == 200
    assert packs.took(answer, ref) == (stand.refs().get(ref) == commit.oid)
    objects_now = stand.git("cat-file", "--batch-all-objects", "--batch-check=%(objectname)").split()
    assert more.oid not in objects_now and (commit.oid in objects_now) == packs.took(answer, ref)
    stand.good_upload()


def test_a_pack_without_the_commit_that_it_is_for_leaves_nothing(stand: Stand):
    commit, objects = honest(stand)
    with stand.untouched():
        for left_out in objects:
            ref = stand.ref()
            answer = stand.wire.push(ref, commit, pack(made for made in objects if made is not left_out))
            assert not packs.took(answer, ref), left_out


def test_half_of_an_object_of_anothers_is_no_way_to_it(stand: Stand):
    """A commit that names as its tree what only another agent's commit has is complete for git: what it shows
    is shown anyway.
    """
    two = stand.server.agent("two")
    fence = two.call("claim_task", task="M05")["fence"]
    theirs = two.commit(two.clone(stand.clone.parent / "two"), {"m05/theirs": "1\n"})
    commit = packs.commit(stand.git("rev-parse", f"{theirs}^{{tree}}"), [stand.main()])
    ref = stand.ref()
    stand.wire.push(ref, commit.oid, pack([commit]))
    assert refused(stand.push(commit=commit.oid), "outside_module")  # it is not in its lease
    two.call("release_task", fence=fence, outcome="abandoned")


# -- bombs


def test_a_blob_that_unpacks_to_300_mb_is_refused_in_bounded_memory(stand: Stand):
    """300 kB on the wire. It may be uploaded, as it is kept packed; it cannot land."""
    packer = zlib.compressobj(9)
    zeros, digest = bytes(MIB), hashlib.sha1(b"blob %d\0" % (300 * MIB))
    packed = b""
    for _ in range(300):
        packed += packer.compress(zeros)
        digest.update(zeros)
    packed += packer.flush()
    assert len(packed) < MIB
    head = packs.entry(BLOB, b"", size=300 * MIB)[: -len(zlib.compress(b""))]
    commit, objects = stand.change({(b"bomb",): (FILE, digest.hexdigest())})
    ref = stand.ref()
    answer = stand.wire.push(ref, commit.oid, pack([head + packed, *objects]))
    assert packs.took(answer, ref), answer
    refused(stand.push(commit=commit.oid), "too_large")
    assert size_on_disk(stand) < 20 * MIB
    stand.good_upload()


def test_a_delta_that_multiplies_is_refused_where_it_would_be_read(stand: Stand):
    """A megabyte, and upon it 64 times itself, and upon that 64 times again: 4 GiB from a few kilobytes."""
    base = packs.blob(bytes(MIB))
    steps = packs.copy(0, MIB) * 64
    first = packs.entry(OFS_DELTA, packs.delta(MIB, 64 * MIB, steps), base=packs.back(len(base.packed())))
    whole = packs.copy(0, 16 * MIB - 1) * 256
    second = packs.entry(
        OFS_DELTA, packs.delta(64 * MIB, (16 * MIB - 1) * 256, whole), base=packs.back(len(first))
    )
    with stand.untouched():
        commit, objects = honest(stand)
        ref = stand.ref()
        answer = stand.wire.push(ref, commit, pack([base, first, second, *objects]))
        assert not packs.took(answer, ref), answer


def test_many_small_objects_are_taken_or_refused_in_order(stand: Stand):
    commit, objects = honest(stand)
    many = [packs.blob(b"%d" % number) for number in range(60_000)]
    ref = stand.ref()
    answer = stand.wire.push(ref, commit, pack([*many, *objects]))
    assert answer[0] == 200
    stand.good_upload()


def size_on_disk(stand: Stand) -> int:
    return sum(path.stat().st_size for path in stand.bare.rglob("*") if path.is_file())


# -- commits that are none

PERSON = b"x <x@example.invalid> 1700000000 +0000"


def body(
    tree: str, parent: str, *, author: bytes = PERSON, committer: bytes = PERSON, more: bytes = b""
) -> bytes:
    return (
        f"tree {tree}\nparent {parent}\n".encode()
        + b"author "
        + author
        + b"\ncommitter "
        + committer
        + b"\n"
        + more
        + b"\nwords\n"
    )


BAD_COMMITS: dict[str, tuple[Callable[[str, str], bytes], bytes]] = {
    "no tree": (
        lambda _, parent: (
            b"parent " + parent.encode() + b"\nauthor " + PERSON + b"\ncommitter " + PERSON + b"\n\nw\n"
        ),
        b"bogus commit",
    ),
    "a tree that is no tree": (lambda _, parent: body(parent, parent), b"fatal"),
    "a tree that is not there": (
        lambda _, parent: body("1" * 40, parent),
        b"did not receive expected object",
    ),
    "a parent that is not there": (lambda tree, _: body(tree, "1" * 40), b"did not receive expected object"),
    "a parent that is no commit": (lambda tree, _: body(tree, tree), b"fatal"),
    "a parent without an id": (
        lambda tree, parent: body(tree, parent).replace(b"parent ", b"parent x", 1),
        b"bad parents",
    ),
    "no author": (
        lambda tree, parent: body(tree, parent).replace(b"author " + PERSON + b"\n", b""),
        b"missingAuthor",
    ),
    "two authors": (
        lambda tree, parent: body(tree, parent).replace(b"committer", b"author " + PERSON + b"\ncommitter"),
        b"multipleAuthors",
    ),
    "no committer": (
        lambda tree, parent: body(tree, parent).replace(b"committer " + PERSON + b"\n", b""),
        b"missingCommitter",
    ),
    "no date": (
        lambda tree, parent: body(tree, parent, author=b"x <x@example.invalid>"),
        b"missingSpaceBeforeDate",
    ),
    "a date that is none": (
        lambda tree, parent: body(tree, parent, author=b"x <x@example.invalid> soon +0000"),
        b"badDate",
    ),
    "a date beyond all dates": (
        lambda tree, parent: body(
            tree, parent, author=b"x <x@example.invalid> 99999999999999999999999 +0000"
        ),
        b"badDateOverflow",
    ),
    "a date with zeros": (
        lambda tree, parent: body(tree, parent, author=b"x <x@example.invalid> 0001 +0000"),
        b"zeroPaddedDate",
    ),
    "a zone that is none": (
        lambda tree, parent: body(tree, parent, author=b"x <x@example.invalid> 1 UTC"),
        b"badTimezone",
    ),
    "an author with brackets": (
        lambda tree, parent: body(tree, parent, author=b"x <x<y@example.invalid> 1 +0000"),
        b"badEmail",
    ),
    "an author without address": (
        lambda tree, parent: body(tree, parent, author=b"x 1 +0000"),
        b"missingEmail",
    ),
    "NUL in the head": (
        lambda tree, parent: body(tree, parent, author=b"x\0y <x@example.invalid> 1 +0000"),
        b"nulInHeader",
    ),
    "NUL in the words": (lambda tree, parent: body(tree, parent) + b"\0more", b"nulInCommit"),
    "no end of the head": (lambda tree, parent: b"tree " + tree.encode(), b"bogus commit"),
    "nothing": (lambda _, __: b"", b"fatal"),
}


@pytest.mark.parametrize("name", BAD_COMMITS)
def test_a_commit_that_is_none_leaves_nothing(stand: Stand, name: str):
    make, words = BAD_COMMITS[name]
    bad = Object(COMMIT, make(stand.git("rev-parse", "main^{tree}"), stand.main()))
    with stand.untouched():
        ref = stand.ref()
        answer = stand.wire.push(ref, bad.oid, pack([bad]))
        assert not packs.took(answer, ref) and words in answer[1], answer


def test_a_commit_of_a_thousand_parents_lands_as_one_with_one(stand: Stand):
    main, main_tree = stand.main(), stand.git("rev-parse", "main^{tree}")
    parents = [packs.commit(main_tree, [main], words=b"%d\n" % number) for number in range(1_000)]
    change, objects = stand.change({(b"many",): (FILE, b"1")})
    tree = change.body[5:45].decode()
    merged = packs.commit(tree, [parent.oid for parent in parents])
    ref = stand.ref()
    answer = stand.wire.push(ref, merged.oid, pack([*objects[:-1], *parents, merged]))
    assert packs.took(answer, ref), answer
    landed = stand.push(commit=merged.oid)
    assert landed["status"] == "landed" and stand.git("rev-parse", f"{landed['main']}^@") == main
    with stand.server.http() as http:
        http.post("/api/tasks/M04/reopen", json={"reason": "again"}).raise_for_status()
    stand.fence = stand.one.call("claim_task", task="M04")["fence"]


@pytest.mark.parametrize("kind", ["a tag", "a tag of a tag", "a tree", "a file"])
def test_what_is_no_commit_cannot_be_submitted(stand: Stand, kind: str):
    tag = Object(
        TAG, f"object {stand.main()}\ntype commit\ntag x\n".encode() + b"tagger " + PERSON + b"\n\nwords\n"
    )
    outer = Object(
        TAG, f"object {tag.oid}\ntype tag\ntag y\n".encode() + b"tagger " + PERSON + b"\n\nwords\n"
    )
    blob = packs.blob(b"1")
    made = {
        "a tag": [tag],
        "a tag of a tag": [tag, outer],
        "a tree": [blob, packs.tree([(FILE, b"x", blob.oid)])],
        "a file": [packs.blob(b"2")],
    }[kind]
    assert made[-1].kind in (TAG, TREE, BLOB)
    ref = stand.ref()
    stand.wire.push(ref, made[-1].oid, pack(made))
    refused(stand.push(commit=made[-1].oid), "commit_unknown")


def test_dates_and_authors_of_an_agent_count_for_nothing_on_main(stand: Stand):
    """Its commits may say what they like: the landed one is the server's, with the time of the submission."""
    change, objects = stand.change({(b"dated",): (FILE, b"1")})
    old = packs.commit(
        change.body[5:45].decode(), [stand.main()], person=b"Somebody Else <root@example.invalid> 1 -1200"
    )
    ref = stand.ref()
    assert packs.took(stand.wire.push(ref, old.oid, pack([*objects[:-1], old])), ref)
    landed = stand.push(commit=old.oid)
    author, when = stand.git("log", "-1", "--format=%an %ct", landed["main"]).split()
    assert author == "one" and int(when) > 1_700_000_000
    with stand.server.http() as http:
        http.post("/api/tasks/M04/reopen", json={"reason": "again"}).raise_for_status()
    stand.fence = stand.one.call("claim_task", task="M04")["fence"]


def test_after_all_of_it_the_next_good_change_lands(stand: Stand):
    stand.good_landing()
    assert stand.git("fsck", "--full", "--strict", "--no-dangling") == ""
