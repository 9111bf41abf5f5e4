"""Results files as an executor hands them over."""

from oracle.suites.base import ResultsFile


def files(*texts: str | bytes | None) -> tuple[ResultsFile, ...]:
    """Return a results file for each text; None stands for one that was not written."""
    contents = [text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text for text in texts]
    return tuple(
        ResultsFile(f"out{number or ''}.xml", content, len(content))
        for number, content in enumerate(contents)
        if content is not None
    )
