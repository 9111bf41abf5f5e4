"""The suite kind `command`: a project's own test command, read in the form that it writes."""

from oracle.suites import base
from oracle.suites.base import ProjectRules, SuiteKind
from oracle.suites.command import beginning, canary, faults, spec, steering, suite, whole

KIND = SuiteKind(
    name="command",
    needs=("command",),
    problems=spec.problems,
    canary_problems=canary.problems,
    exposure=canary.exposure,
    steering=steering.PROTECTED,
    judging_commands=spec.judging_commands,
    default_protected=spec.default_protected,
    answer_files=spec.answer_files,
    protected_from_main=True,
    candidate_image=base.COMMAND_IMAGE,
    reference_image=None,
    project=ProjectRules(
        results_file=spec.results_file,
        hatch=canary.hatch,
        canary_apart=canary.runs_apart,
        missing_canary=canary.missing,
        altered=canary.altered,
        judge=suite.judge,
        says_more=whole.says_more,
        is_explained=whole.is_explained,
        is_believed=whole.is_believed,
        unseen=suite.unseen,
        unproven=beginning.unproven,
        faults=faults.projects,
    ),
)
