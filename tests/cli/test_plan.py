"""What a run is asked to be: every problem at once, and the command line's counts on top of the file's."""

from pathlib import Path

import pytest

from harness.failure import Exit, VerbFailed
from harness.run.plan import BadConfig, RunPlan, load_config, with_counts
from harness.run.state import StateDirectory


def counts(config) -> dict[str, int]:
    return {name: spec.count for name, spec in config.agents.items()}


def test_a_wish_replaces_a_count_and_leaves_the_others(project: Path) -> None:
    config = load_config(project / "harness.toml")
    assert counts(with_counts(config, ["worker=5"])) == {"worker": 5}
    assert counts(with_counts(config, [])) == {"worker": 2}


def test_a_kind_finds_its_only_table(project: Path) -> None:
    assert counts(with_counts(load_config(project / "harness.toml"), ["command=1"])) == {"worker": 1}


def test_a_known_cli_needs_no_table(project: Path) -> None:
    config = with_counts(load_config(project / "harness.toml"), ["claude=2"])
    assert config.agents["claude"].kind == "claude"
    assert counts(config) == {"worker": 2, "claude": 2}


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ("wroker=1", "did you mean worker?"),
        ("worker", "write kind=N"),
        ("worker=-1", "write kind=N"),
        ("worker=999", "from 0 to"),
        ("scripted=1", "no such agent"),
    ],
)
def test_a_wish_that_makes_no_sense_is_a_usage_error(project: Path, wish: str, told: str) -> None:
    with pytest.raises(VerbFailed, match=told) as failed:
        with_counts(load_config(project / "harness.toml"), [wish])
    assert failed.value.exit is Exit.USAGE


def test_agents_are_named_by_table_and_number(project: Path) -> None:
    plan = RunPlan(
        project / "harness.toml", load_config(project / "harness.toml"), StateDirectory(project), port=0
    )
    assert [name for name, _ in plan.agents()] == ["worker-1", "worker-2"]


def test_every_problem_is_told_with_file_and_line(project: Path) -> None:
    file = project / "harness.toml"
    file.write_text(
        file.read_text()
        .replace('name = "toy"', "name = 5")
        .replace('kind = "command"\ncount', 'kind = "comand"\ncount')
    )
    with pytest.raises(BadConfig) as bad:
        load_config(file)
    assert len(bad.value.lines) >= 2
    assert all(":" in line for line in bad.value.lines)
    assert bad.value.exit is Exit.USAGE
