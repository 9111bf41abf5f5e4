"""What a suite's table says beyond what the suite can tell by itself: held-out files, flaky cases, and
entries that name suites.

Rule: each problem stands at the line of the key or entry that is wrong.
"""

import datetime
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from mcp_server.config.positions import Keys
from mcp_server.config.reading import Source, did_you_mean, dotted
from mcp_server.core import case_globs
from oracle.cases.spec import Suite
from oracle.suites import kinds


def with_dates(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """A date without quotes means the same in [oracle.X.flaky]."""
    flaky = table.get("flaky")
    if not isinstance(flaky, Mapping):
        return table
    return {
        **table,
        "flaky": {
            case: until.isoformat() if type(until) is datetime.date else until
            for case, until in flaky.items()
        },
    }


def check(source: Source, keys: Keys, suite: Suite) -> None:
    for case, until in suite.flaky.items():
        if not _is_date(until):
            source.problem(
                (*keys, "flaky", case),
                f"{dotted(keys)}.flaky: {until!r} is no date",
                'the last day on which the case counts for nothing, such as "2030-01-31"',
            )
    place = (*keys, "held_out")
    kind = kinds.find(suite)
    if suite.held_out and kind and kind.cases is None:
        source.problem(
            place,
            f"{dotted(place)}: a {kind.name} suite has no case files to hold out",
            "take it out, or make them a differential suite",
        )
    if suite.held_out and suite.start == "fork":
        message = (
            f'{dotted(place)}: with start = "fork", '
            "what a hidden case leaves in the interpreter could be read"
        )
        source.problem(place, message, 'write start = "process"')
    for glob in suite.held_out:
        if not glob or glob.endswith("/") or any(unicodedata.category(sign) == "Cc" for sign in glob):
            source.problem(
                place,
                f"{dotted(place)}: {glob!r} names no files",
                'such as "../held-out/**/*.sql", relative to this file',
                value=glob,
            )


def check_entries(
    source: Source,
    keys: Keys,
    entries: Iterable[str],
    declared: Collection[str],
    suites: Mapping[str, Suite],
    repo: str,
) -> None:
    """Entries such as "slt:select/*" name suites that exist and judge the repository `repo`."""
    for entry in entries:
        name, _ = case_globs.split(entry)
        if name is None:
            continue
        if name not in declared:
            message = f"there is no suite {name!r} (a single ':' ends the name of a suite)"
            source.problem(keys, message, did_you_mean(name, declared), value=entry)
        elif name in suites and suites[name].repo != repo:
            message = f"the suite {name!r} judges repository {suites[name].repo!r}, not {repo!r}"
            source.problem(keys, message, "name a suite of the same repository", value=entry)


def _is_date(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
