"""How large main may become, and by how much one landing may make it larger. Pure decisions, in bytes."""

from collections.abc import Mapping
from dataclasses import dataclass

from mcp_server.core.landing import some
from mcp_server.core.refusal import Code, Refused

MIB = 1024 * 1024
# A tree goes to a box in one message, which is read whole; what a suite builds of it needs room beside it.
TREE_MIB_MAX, TREE_MIB_MOST = 200, 240
GROWTH_MIB_MAX = 32  # some years of what people write


@dataclass(frozen=True)
class SizeLimits:
    """Of one repository."""

    tree_bytes_max: int
    growth_bytes_max: int


def refusal(limits: SizeLimits, tree_bytes: int, grown: Mapping[str, int]) -> Refused | None:
    """Return why a change may not land that makes main `tree_bytes` large, or None.

    `grown` says of each changed path by how many bytes it has grown; less than 0 where it has shrunk. A main
    that is too large already may be changed by whatever makes it no larger.
    """
    growth = sum(grown.values())
    if growth > limits.growth_bytes_max:
        happened = f"the change makes main {_mib(growth)} larger"
        holds = f"one landing may add {_mib(limits.growth_bytes_max)} (`growth_mib_max` of the repository)"
    elif growth > 0 and tree_bytes > limits.tree_bytes_max:
        happened = f"with the change, main would have {_mib(tree_bytes)}"
        holds = f"it may have {_mib(limits.tree_bytes_max)} (`tree_mib_max` of the repository)"
    else:
        return None
    largest = sorted(grown, key=lambda path: (-grown[path], path))
    named = some(f"{path} ({_mib(grown[path])})" for path in largest if grown[path] > 0)
    return Refused(
        Code.TOO_LARGE,
        f"{happened}; what grows most: {named}",
        f"{holds}; main is unchanged",
        "take out of your commits what is no source, or make it when it is needed, and push again",
    )


def _mib(size: int) -> str:
    return f"{size / MIB:,.1f} MiB"
