"""A server with more suites than anybody thought of: what is known of each is kept, whoever else is asked for
in between.
"""

import subprocess
from pathlib import Path

from mcp_server.repos import case_files
from mcp_server.repos.repository import Repository
from oracle.cases.spec import Suite

SUITES = 40
USER = ("-c", "user.name=user", "-c", "user.email=user@example.invalid")


def test_the_cases_of_many_suites_are_read_once_each(tmp_path: Path) -> None:
    user = tmp_path / "user"
    for number in range(SUITES):
        (user / f"cases/{number}").mkdir(parents=True)
        (user / f"cases/{number}/one.txt").write_text(f"{number}\n")
    for words in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "--all"),
        ("commit", "--quiet", "--message=begin"),
    ):
        subprocess.run(["git", *USER, *words], cwd=user, check=True)
    repo = Repository.create(tmp_path / "state" / "engine.git")
    main = repo.exchange.import_branch(user, "main").commit
    suites = [
        Suite(
            f"s{number}",
            "differential",
            "engine",
            cases=(f"cases/{number}/*.txt",),
            candidate="cat",
            reference="cat",
        )
        for number in range(SUITES)
    ]
    first = [case_files.load(repo, main, suite)[0] for suite in suites]
    assert [case.input for case in first] == [f"{number}\n" for number in range(SUITES)]
    assert all(
        case_files.load(repo, main, suite)[0] is case for suite, case in zip(suites, first, strict=True)
    )
