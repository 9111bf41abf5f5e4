"""The tables. Times are milliseconds since the epoch by the server's clock; JSON columns hold plain values.

Rule: whoever changes a table here adds the migration that changes it in a database that is there
(docs/state.md).
"""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

# One row: the newest migration that the database has seen. Alembic knows the table by its usual name.
schema_version = Table(
    "alembic_version", metadata, Column("version_num", String(32), primary_key=True, nullable=False)
)

meta = Table("meta", metadata, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))

tasks = Table(
    "tasks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("brief", Text, nullable=False),
    Column("module", Text, nullable=False),
    Column("repo", Text, nullable=False),
    Column("paths", JSON, nullable=False),
    Column("needs", JSON, nullable=False),
    Column("suite", Text),
    Column("cases", JSON, nullable=False),
    Column("removes", JSON, nullable=False, server_default="[]"),
    Column("priority", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("salvage", JSON),
    Index("tasks_by_state", "state"),
    Index("tasks_by_title", "title"),
)

leases = Table(
    "leases",
    metadata,
    Column("fence", Integer, primary_key=True),
    Column("task", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("session", Text),
    Column("repo", Text, nullable=False),
    Column("paths", JSON, nullable=False),
    Column("granted_ms", Integer, nullable=False),
    Column("expires_ms", Integer, nullable=False),
    Column("pinned", Boolean, nullable=False),
    Column("head", Text),
    Column("ended_ms", Integer),
    Column("end_reason", Text),
    Index("leases_by_task", "task"),
    Index("leases_by_agent", "agent"),
    Index("leases_unended", "fence", sqlite_where=text("ended_ms IS NULL")),
    # Second line behind core.schedule: a task has at most one lease that has not ended.
    Index("one_lease_per_task", "task", unique=True, sqlite_where=text("ended_ms IS NULL")),
)

submissions = Table(
    "submissions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("fence", Integer, nullable=False),
    Column("task", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("repo", Text, nullable=False),
    Column("commit", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("submitted_ms", Integer, nullable=False),
    Column("ended_ms", Integer),
    Column("base", Text),
    Column("candidate", Text),
    Column("jobs", JSON, nullable=False),  # {suite: job id}
    Column("tries", Integer, nullable=False),
    Column("refusal", JSON),
    UniqueConstraint("fence", "commit"),
    Index("submissions_by_end", "state", "ended_ms"),
    Index("submissions_by_candidate", "candidate"),
)

# what a submission showed by itself, on the main of that time: the commit, and the runs that were good
alone = Table(
    "alone",
    metadata,
    Column("submission", Integer, primary_key=True),
    Column("base", Text, nullable=False),
    Column("commit", Text, nullable=False),
    Column("jobs", JSON, nullable=False),  # {suite: job id}
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("suite", Text, nullable=False),
    Column("repo", Text, nullable=False),
    Column("commit", Text, nullable=False),
    Column("tree_key", Text, nullable=False),
    Column("cases_commit", Text, nullable=False),
    Column("todo", JSON, nullable=False),  # ids of the cases to run
    # the highest of those at which it is wanted; 0: nobody wants it any more
    Column("priority", Integer, nullable=False),
    Column("state", Text, nullable=False),  # queued | running | done
    Column("runner", Text),
    Column("queued_ms", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("verdict", JSON),
    Index("jobs_by_state", "state", "priority"),
)

job_wants = Table(  # who wants a job, and how much: who withdraws takes away only his own
    "job_wants",
    metadata,
    Column("job", Integer, primary_key=True),
    Column("by", Text, primary_key=True),  # "" never withdraws
    Column("priority", Integer, nullable=False),
)

failures = Table(  # which cases of a suite have ever failed on a tree, whoever asked
    "failures",
    metadata,
    Column("suite_key", Text, primary_key=True),
    Column("tree_key", Text, primary_key=True),
    Column("cases", JSON, nullable=False),
)

baselines = Table(  # every case's outcome on a commit that was or is main
    "baselines",
    metadata,
    Column("suite_key", Text, primary_key=True),
    Column("commit", Text, primary_key=True),
    Column("outcomes", JSON, nullable=False),
    # kinds of what the run said against itself; NULL: not noted by that release, so that main is run again
    Column("contradictions", JSON(none_as_null=True)),
    Index("baselines_by_commit", "commit"),
)

reference_answers = Table(
    "reference_answers",
    metadata,
    Column("key", Text, primary_key=True),
    Column("output", Text, nullable=False),
    Column("exit", Integer, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("door", Boolean, nullable=False),
    Column("started_ms", Integer, nullable=False),
    Column("ended_ms", Integer),
    Column("outcome", Text),
    Column("detail", Text),
    Column("calls", Integer, nullable=False),
    Column("last_call_ms", Integer),
    Column("last_call", Text),
    Column("tools_listed", Boolean, nullable=False),
    Column("head", Text),
    Column("branch", Text),
    Index("sessions_by_agent", "agent", "ended_ms"),
)

crew = Table(  # what the harness said last of each agent that it keeps
    "crew",
    metadata,
    Column("agent", Text, primary_key=True),
    Column("member", JSON, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sha256", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("session", Text),
    Column("issued_ms", Integer, nullable=False),
    Column("revoked_ms", Integer),
    Index(
        "tokens_without_session", "role", "name", sqlite_where=text("revoked_ms IS NULL AND session IS NULL")
    ),
)

notes = Table(
    "notes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("written_ms", Integer, nullable=False),
    Index("notes_by_topic", "topic"),
)

reports = Table(  # the results of tasks that change no code
    "reports",
    metadata,
    Column("fence", Integer, primary_key=True),
    Column("task", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("written_ms", Integer, nullable=False),
    Index("reports_by_task", "task"),
)

events = Table(
    "events",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("body", LargeBinary, nullable=False),  # canonical JSON: exactly the bytes that were hashed
    Column("hash", Text, nullable=False),
    # Copies of body fields, for queries only; `audit verify` reads the body.
    Column("kind", Text, nullable=False),
    Column("agent", Text),
    Column("task", Text),
    Index("events_by_kind", "kind"),
)

model_requests = Table(  # one row per request of an agent to a model, ended however
    "model_requests",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("began_ms", Integer, nullable=False),
    Column("agent", Text, nullable=False),
    Column("session", Text),
    Column("task", Text),
    Column("fence", Integer),
    Column("account", Text, nullable=False),
    Column("form", Text, nullable=False),
    Column("model", Text),
    Column("status", Integer),  # what the client was answered; NULL where it left before
    Column("outcome", Text, nullable=False),  # ok | error | aborted | cut | budget | refused | lost
    Column("input", Integer, nullable=False),  # all that was read, cached parts included
    Column("cached_read", Integer, nullable=False),
    Column("cached_write", Integer, nullable=False),
    Column("output", Integer, nullable=False),  # all that was written, reasoning included
    Column("reasoning", Integer, nullable=False),
    Column("counted", Boolean, nullable=False),  # the vendor said how many tokens there were
    # the answer did not come to its end: the tokens are a lower bound
    Column("partial", Boolean, nullable=False),
    Column("cost_usd", Float),  # NULL: nobody knows
    Column("tries", Integer, nullable=False),
    Column("waited_ms", Integer, nullable=False),
    Column("first_byte_ms", Integer),
    Column("took_ms", Integer, nullable=False),
    Index("model_requests_by_task", "task"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("size", Integer, primary_key=True),
    Column("note", Text, nullable=False),
)
