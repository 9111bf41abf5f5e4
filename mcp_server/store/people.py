"""Who may speak: tokens and sessions. A token is stored as its SHA-256 only."""

from dataclasses import asdict, dataclass

from sqlalchemy import Integer, bindparam, func, insert, literal_column, select, update

from mcp_server.store import Tx
from mcp_server.store.schema import sessions, tokens
from mcp_server.store.statement import Statement


@dataclass(frozen=True)
class Token:
    id: int
    sha256: str
    name: str
    role: str
    session: str | None
    issued_ms: int
    revoked_ms: int | None = None


@dataclass(frozen=True)
class SessionRow:
    """One run of an agent's program; `head` is the last commit that it uploaded."""

    id: str
    agent: str
    kind: str
    door: bool
    started_ms: int
    ended_ms: int | None = None
    outcome: str | None = None
    detail: str | None = None
    calls: int = 0
    last_call_ms: int | None = None
    last_call: str | None = None
    tools_listed: bool = False
    head: str | None = None
    branch: str | None = None


# Sessions are numbered as they begin, and none is ever taken away.
NUMBER = literal_column("sessions.rowid", Integer)
TOKEN = Statement(select(tokens).where(tokens.c.sha256 == bindparam("of")))
SESSION = Statement(select(sessions).where(sessions.c.id == bindparam("of")))
PUT_SESSION = Statement(update(sessions).where(sessions.c.id == bindparam("of")))
CALLED = Statement(
    update(sessions)
    .where(sessions.c.id == bindparam("of"))
    .values(
        calls=sessions.c.calls + 1,
        tools_listed=True,
        last_call=bindparam("tool"),
        last_call_ms=bindparam("ms"),
    )
)


def add_token(tx: Tx, *, sha256: str, name: str, role: str, session: str | None, now_ms: int) -> Token:
    id = (tx.execute(select(func.max(tokens.c.id))).scalar() or 0) + 1
    token = Token(id, sha256, name, role, session, now_ms)
    tx.execute(insert(tokens).values(**asdict(token)))
    return token


def token_by_hash(tx: Tx, sha256: str) -> Token | None:
    row = tx.run(TOKEN, {"of": sha256}).fetchone()
    return Token(*row) if row else None


def all_tokens(tx: Tx) -> list[Token]:
    return [Token(**row._mapping) for row in tx.execute(select(tokens).order_by(tokens.c.id))]


def connected(tx: Tx) -> set[str]:
    """Return the agents that hold a live token without a session."""
    live = tokens.c.revoked_ms.is_(None) & tokens.c.session.is_(None) & (tokens.c.role == "agent")
    return set(tx.execute(select(tokens.c.name).where(live)).scalars())


def revoke(tx: Tx, now_ms: int, *, id: int | None = None, session: str | None = None) -> int:
    """Revoke the live token of that id, or those of that session; return how many there were."""
    which = tokens.c.id == id if id is not None else tokens.c.session == session
    live = tokens.c.revoked_ms.is_(None)
    return tx.execute(update(tokens).where(which, live).values(revoked_ms=now_ms)).rowcount


def add_session(tx: Tx, *, agent: str, kind: str, door: bool, now_ms: int) -> SessionRow:
    number = (tx.execute(select(func.count()).select_from(sessions)).scalar() or 0) + 1
    session = SessionRow(f"S{number}", agent, kind, door, now_ms)
    tx.execute(insert(sessions).values(**asdict(session)))
    return session


def put_session(tx: Tx, session: SessionRow) -> None:
    tx.run(PUT_SESSION, vars(session) | {"of": session.id})


def session(tx: Tx, id: str) -> SessionRow | None:
    row = tx.run(SESSION, {"of": id}).fetchone()
    if row is None:
        return None
    values = dict(zip(sessions.c.keys(), row, strict=True))
    return SessionRow(**values | {"door": bool(values["door"]), "tools_listed": bool(values["tools_listed"])})


def count_call(tx: Tx, id: str, tool: str, now_ms: int) -> None:
    """Count a tool call of the session, if there is such a session."""
    tx.run(CALLED, {"of": id, "tool": tool, "ms": now_ms})


def open_sessions(tx: Tx) -> list[SessionRow]:
    """Return the sessions that have not ended."""
    open = select(sessions).where(sessions.c.ended_ms.is_(None))
    return [SessionRow(**row._mapping) for row in tx.execute(open)]


def newest_sessions(tx: Tx, *, ended: bool = False) -> dict[str, SessionRow]:
    """Return each agent's newest session, or with `ended` its newest that has ended, by agent."""
    newest = select(func.max(NUMBER)).select_from(sessions).correlate(None).group_by(sessions.c.agent)
    if ended:
        newest = newest.where(sessions.c.ended_ms.is_not(None))
    in_order = select(sessions).where(NUMBER.in_(newest)).order_by(NUMBER)
    return {row.agent: SessionRow(**row._mapping) for row in tx.execute(in_order)}


def in_sessions_ms(tx: Tx, agent: str, now_ms: int) -> int:
    """Return how long an agent has been in sessions, in milliseconds, the one that is open included."""
    spent = func.sum(func.coalesce(sessions.c.ended_ms, now_ms) - sessions.c.started_ms)
    return tx.execute(select(spent).where(sessions.c.agent == agent)).scalar_one() or 0


def first_began_ms(tx: Tx) -> int | None:
    """Return when the first session of all began, or None if there was none."""
    return tx.execute(select(sessions.c.started_ms).order_by(NUMBER).limit(1)).scalar()
