"""The suite kind `sqllogictest`: records of SQLite's .slt files, judged by the files or by a reference."""

from oracle.suites import base
from oracle.suites.base import CaseRules, SessionRules, SuiteKind
from oracle.suites.sqllogictest import records, shrink, spec, suite, teeth

KIND = SuiteKind(
    name="sqllogictest",
    needs=("cases", "candidate"),
    problems=spec.problems,
    canary_problems=base.no_canary,
    exposure=base.compared_elsewhere,
    steering=(),
    judging_commands=base.trusted_commands,
    default_protected=base.case_files_of,
    answer_files=base.case_files_of,
    protected_from_main=False,
    candidate_image=base.CANDIDATE_IMAGE,
    reference_image=base.REFERENCE_IMAGE,
    cases=CaseRules(
        sections=records.sections_of,
        together=suite.whole_files_of,
        answer_inputs=suite.records_before,
        sessions=SessionRules(sessions=suite.sessions, answer=suite.answer),
        whole=suite.whole_files,
        judge=suite.judge,
        expectations=suite.file_expectations,
        trials=shrink.trials_of,
        engines=teeth.engines,
    ),
)
