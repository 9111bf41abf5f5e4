"""Starts the engine. It is compiled anew by every process, so all that can be is in shell.py."""
import sys

sys.path[0] = sys.path[0][: -len("minisql")] or "."  # the project's root instead of this directory
from minisql.shell import main  # noqa: E402

main()
