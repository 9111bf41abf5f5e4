"""`push` of a patch, for clients without git: a unified diff becomes a commit of the agent's, and then goes
the way of any commit.

Rule: what is refused here leaves nothing behind. The commit's ref is named by fence, base and patch, so that
the same call made again finds the same commit, wherever main is by then.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from mcp_server.core import landing, line_ends, names, unified_diff
from mcp_server.core import lease as leases
from mcp_server.core.lease import Lease
from mcp_server.core.principal import Principal
from mcp_server.core.refusal import Code, Refused
from mcp_server.core.task import Task
from mcp_server.core.unified_diff import Unclear
from mcp_server.repos.process import ZERO, GitOutputTooLarge
from mcp_server.repos.quarantine import Quarantine, UnfitPatch, beside
from mcp_server.store import leases as lease_rows
from mcp_server.store import tasks as task_rows
from mcp_server.store.submissions import Submission
from mcp_server.use_cases.landing import boundaries, submit
from mcp_server.use_cases.people import sessions
from mcp_server.world import World

PATCH_BYTES_MAX = 512 * 1024  # a request has at most 1 MiB, and JSON escapes every line's end
BINARY = re.compile(r"^(GIT binary patch|Binary files .* differ)", re.MULTILINE)
HOSTILE = re.compile(r"invalid path|beyond a symbolic link")
NO_COMMIT = ""
UNCHANGED = "nothing was submitted; your lease goes on"


@dataclass(frozen=True)
class Patch:
    """A unified diff on `base`, a commit of main's or of the agent's own; None is main as it is at the first
    call.

    Main will do: nobody else lands inside a lease's paths while it lives, so there main is as it was claimed.
    """

    text: str
    base: str | None
    summary: str

    def ref(self, agent: str, fence: int) -> str:
        """Return the ref of the commit that this patch becomes under a lease."""
        digest = hashlib.sha256(repr((fence, self.base, self.text)).encode()).hexdigest()
        return f"refs/agents/{agent}/patch-{digest[:32]}"


def push(
    world: World,
    who: Principal,
    fence: int,
    summary: str,
    *,
    commit: str | None,
    patch: str | None,
    base: str | None,
) -> Submission | Refused:
    """Submit either of the two: an uploaded commit, or a patch on `base`."""
    if patch is not None and commit is None:
        return _push(world, who, fence, Patch(patch, base, summary))
    if commit is not None and patch is None and base is None:
        return submit.submit(world, who, fence, commit, summary)
    return Refused(
        Code.BAD_REQUEST,
        "push takes either a commit or a patch, and a base only with a patch",
        UNCHANGED,
        "push(fence, summary, commit=...) after git push, or push(fence, summary, patch=...) without git",
    )


def _push(world: World, who: Principal, fence: int, patch: Patch) -> Submission | Refused:
    """Submit a patch. It is as idempotent as `submit.submit`, by (fence, base, text)."""
    with world.store.read() as tx:
        lease = lease_rows.get(tx, fence)
        task = task_rows.get(tx, lease.task) if lease is not None else None
    commit = None
    if lease is not None and task is not None and lease.agent == who.name:
        commit = world.repos[lease.repo].refs.tip(patch.ref(who.name, fence))
        if commit is None and leases.is_live(lease, world.now_ms()):
            new = _commit(world, who, lease, task, patch)
            if isinstance(new, Refused):
                return new
            commit = _upload(world, who, lease, patch, new)
    # Without a commit there is no live lease of the caller's: what is wrong with the fence is said there, as
    # for any push.
    return submit.submit(world, who, fence, commit or NO_COMMIT, patch.summary)


def _commit(world: World, who: Principal, lease: Lease, task: Task, patch: Patch) -> str | Refused:
    """Return the patch as a commit on no ref, or why it cannot be one."""
    repo = world.repos[lease.repo]
    text = _readable(patch.text)
    if isinstance(text, Refused):
        return text
    base = _base(world, who, lease, patch)
    if isinstance(base, Refused):
        return base
    try:
        with beside(repo) as apart:
            tree = _tree(world, apart, lease, task, base, text)
            if isinstance(tree, Refused):
                return tree
            commit = apart.commits.create(tree, [base], patch.summary, who.name, world.now_ms() // 1000)
            apart.adopt(commit, base)
            return commit
    except GitOutputTooLarge as wrong:
        return Refused(
            Code.TOO_LARGE,
            f"the patch, or the tree it makes, is too large: {wrong}",
            UNCHANGED,
            "push a smaller change",
        )


def _readable(text: str) -> bytes | Refused:
    """Return a patch as bytes that git may read, ending in a newline."""
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raw = b"\0"
    if len(raw) > PATCH_BYTES_MAX:
        return Refused(
            Code.TOO_LARGE,
            f"the patch has {len(raw):,} bytes; at most {PATCH_BYTES_MAX:,} are taken",
            UNCHANGED,
            "push it in parts that each pass, or push a commit with git",
        )
    if b"\0" in raw or BINARY.search(text):
        return Refused(
            Code.BAD_REQUEST,
            "the patch holds a binary file",
            UNCHANGED,
            "patches carry UTF-8 text alone: push binary files as a commit, with git",
        )
    return raw if raw.endswith(b"\n") else raw + b"\n"


def _base(world: World, who: Principal, lease: Lease, patch: Patch) -> str | Refused:
    repo = world.repos[lease.repo]
    if patch.base is None:
        return world.main(lease.repo)
    base = repo.commits.resolve(patch.base)
    if base is None or not repo.commits.agent_has(who.name, base):
        return Refused(
            Code.COMMIT_UNKNOWN,
            f"the base {patch.base[:40]} is neither a commit of main's nor one of yours",
            UNCHANGED,
            f"leave base out for main as it is, which is {world.main(lease.repo)}",
        )
    return base


def _tree(world: World, apart: Quarantine, lease: Lease, task: Task, base: str, text: bytes) -> str | Refused:
    """Return the tree that the patch makes of the base, or why it may not be one under this lease."""
    diff = unified_diff.read(text.decode())

    @cache
    def base_paths() -> frozenset[str]:
        return frozenset(entry.path for entry in apart.objects.ls_tree(base))

    strip = unified_diff.components_to_strip(diff, base_paths)
    if isinstance(strip, Unclear):
        return _unclear(strip)
    tree = apart.apply_patch(base, diff.text().encode(), strip)
    if isinstance(tree, UnfitPatch):
        fitted = line_ends.fit(diff, strip, lambda path: apart.objects.read(base, path))
        if fitted.diff != diff:
            tree = apart.apply_patch(base, fitted.diff.text().encode(), strip)
        if isinstance(tree, UnfitPatch):
            return _unfit(tree, base, fitted.mixed)
    changes = apart.objects.diff(base, tree)
    if not changes:
        return Refused(
            Code.NOTHING_TO_LAND,
            "the patch changes nothing",
            f"{base[:12]} has this content already",
            "push a change, or release_task as blocked or abandoned",
        )
    return boundaries.refusal(world, apart.objects, lease, task, changes, tree) or tree


def _unclear(unclear: Unclear) -> Refused:
    return Refused(
        Code.BAD_REQUEST,
        f"line {unclear.line} of the patch, {names.printable(unclear.header)}, does not say which file "
        f"it means: {names.printable(unclear.reason)}",
        UNCHANGED,
        "make the patch with git's default prefixes, as `git diff --src-prefix=a/ --dst-prefix=b/` does: "
        "a/PATH and b/PATH, with PATH from the root of the repository",
    )


def _unfit(unfit: UnfitPatch, base: str, mixed: Sequence[str]) -> Refused:
    problems = landing.some(unfit.problems)
    if HOSTILE.search(problems):
        return Refused(
            Code.PROTECTED_PATH,
            f"the patch names a path that no landing may: {problems}",
            UNCHANGED,
            "name files from the root of the repository, as a/PATH and b/PATH",
        )
    if not unfit.is_patch:
        return Refused(
            Code.BAD_REQUEST,
            f"this is no unified diff that git can read: {problems}",
            UNCHANGED,
            "send what `diff -u` or `git diff` prints: --- a/PATH, +++ b/PATH, then hunks beginning with @@",
        )
    return Refused(
        Code.CONFLICT,
        f"the patch does not apply on {base[:12]}: {problems}",
        f"{UNCHANGED}; the number after a path is the line where the hunk begins{_mixed(mixed)}",
        "read those files again by their resources, make the patch anew from what they say, and push it",
    )


def _mixed(paths: Sequence[str]) -> str:
    """Return what to know of files that have both kinds of line ends, as the end of a sentence."""
    if not paths:
        return ""
    some = landing.some(paths)
    return f"; some lines of {some} end in CRLF and others in LF, and the patch needs those that stand there"


def _upload(world: World, who: Principal, lease: Lease, patch: Patch, commit: str) -> str:
    """Give the commit its ref and record it, as any upload. Return the commit that the ref then has: that of
    the same call made at the same time, if it was first.
    """
    repo, ref = world.repos[lease.repo], patch.ref(who.name, lease.fence)
    if not repo.refs.compare_and_swap(ref, commit, ZERO):
        return repo.refs.tip(ref) or commit
    with world.store.write() as tx:
        world.record(
            tx,
            "patch_uploaded",
            who,
            task=lease.task,
            fence=lease.fence,
            repo=lease.repo,
            ref=ref,
            commit=commit,
        )
        sessions.uploaded(tx, who, lease.repo, ref, commit)
    return commit
