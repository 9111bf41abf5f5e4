"""Owns what makes a sqllogictest suite impossible to run."""

from oracle.cases.spec import PROTOCOLS, Suite


def problems(suite: Suite) -> list[str]:
    """Return what is wrong with the settings of a sqllogictest suite, one sentence each."""
    found = []
    if suite.protocol not in PROTOCOLS:
        found.append(f"protocol is {suite.protocol!r}; it can be {' or '.join(PROTOCOLS)}")
    if suite.start != "process":
        found.append('a sqllogictest suite starts its engine once for each file: start must be "process"')
    if suite.compare != "exact":
        found.append(
            "compare has no meaning for a sqllogictest suite: each record says how its answer is compared"
        )
    if not suite.separator or "\n" in suite.separator:
        found.append("separator is what stands between two columns of a row: some text without a line end")
    if "\n" in suite.null:
        found.append("null is how the engine writes NULL: a text without a line end")
    return found
