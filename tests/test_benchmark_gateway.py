"""The benchmark of the gateway runs, tells every figure with its bound, and leaves nothing. Its figures are
the machine's, and not judged here.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[1]
QUICK_S = 110  # some 15 s on two quiet cores


@pytest.mark.slow
def test_a_quick_run_tells_every_figure_and_leaves_nothing(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "benchmarks.gateway", "--quick", "--json"]
    done = subprocess.run(
        argv,
        cwd=SOURCES,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=QUICK_S,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    figures = found["figures"]
    assert all(set(figure) == {"value", "unit", "bound", "ratio", "met"} for figure in figures.values())
    assert figures["gateway_added_ms"]["bound"] == 3.0 and found["quick"]
    assert all(figures[f"{way}_first_byte_ms"]["value"] > 0 for way in ("direct", "proxy", "gateway"))
    assert figures["gateway_cpu_ms"]["value"] > 0 and figures["gateway_resident_mb"]["value"] > 10
    assert list(tmp_path.glob("harness-bench-*")) == []
