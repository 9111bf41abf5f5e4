"""How long a suite takes, against main. Pure decisions.

Rule: a run is slower if it takes `factor` times as long as main's and so much longer that no busy machine
explains it.
"""

NOISE_MS = 3_000  # by which runs of the same tree differ on a machine that has other work


def is_slower(main_ms: int, run_ms: int, factor: float) -> bool:
    """Return True if a run is slower than main beyond noise; 0 ms are a time that nobody knows."""
    return 0 < main_ms * factor < run_ms and run_ms - main_ms >= NOISE_MS


def sentence(suite: str, main_ms: int, run_ms: int) -> str:
    """Return what is told of a slower run."""
    times = run_ms / main_ms
    return f"{suite} takes {seconds(run_ms)}, {times:.0f} times as long as on main ({seconds(main_ms)})"


def seconds(ms: float) -> str:
    """Return a duration as a person reads it: 0.3 s, 12 s."""
    return f"{ms / 1000:.1f} s" if ms < 10_000 else f"{ms / 1000:.0f} s"
