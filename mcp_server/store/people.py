"""Who may speak: tokens and sessions. A token is stored as its SHA-256 only."""

from dataclasses import asdict, dataclass

from sqlalchemy import bindparam, func, insert, select, update

from mcp_server.store import Tx
from mcp_server.store.schema import sessions, tokens


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
class Session:
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


# Asked by every call, so built once: SQLAlchemy takes longer to build a statement than SQLite to run it.
TOKEN = select(tokens).where(tokens.c.sha256 == bindparam("of"))
SESSION = select(sessions).where(sessions.c.id == bindparam("of"))
PUT_SESSION = update(sessions).where(sessions.c.id == bindparam("of"))


def add_token(tx: Tx, *, sha256: str, name: str, role: str, session: str | None, now_ms: int) -> Token:
    id = (tx.execute(select(func.max(tokens.c.id))).scalar() or 0) + 1
    token = Token(id, sha256, name, role, session, now_ms)
    tx.execute(insert(tokens).values(**asdict(token)))
    return token


def token_by_hash(tx: Tx, sha256: str) -> Token | None:
    row = tx.execute(TOKEN, {"of": sha256}).first()
    return Token(**row._mapping) if row else None


def all_tokens(tx: Tx) -> list[Token]:
    return [Token(**row._mapping) for row in tx.execute(select(tokens).order_by(tokens.c.id))]


def connected(tx: Tx) -> set[str]:
    """Agents that hold a live token without a session."""
    live = tokens.c.revoked_ms.is_(None) & tokens.c.session.is_(None) & (tokens.c.role == "agent")
    return set(tx.execute(select(tokens.c.name).where(live)).scalars())


def revoke(tx: Tx, now_ms: int, *, id: int | None = None, session: str | None = None) -> int:
    """Revokes by id or by session; answers how many tokens that was."""
    which = tokens.c.id == id if id is not None else tokens.c.session == session
    return tx.execute(update(tokens).where(which, tokens.c.revoked_ms.is_(None)).values(revoked_ms=now_ms)).rowcount


def add_session(tx: Tx, *, agent: str, kind: str, door: bool, now_ms: int) -> Session:
    number = (tx.execute(select(func.count()).select_from(sessions)).scalar() or 0) + 1
    session = Session(f"S{number}", agent, kind, door, now_ms)
    tx.execute(insert(sessions).values(**asdict(session)))
    return session


def put_session(tx: Tx, session: Session) -> None:
    tx.execute(PUT_SESSION, vars(session) | {"of": session.id})


def session(tx: Tx, id: str) -> Session | None:
    row = tx.execute(SESSION, {"of": id}).first()
    return Session(**row._mapping) if row else None


def open_sessions(tx: Tx) -> list[Session]:
    return [Session(**row._mapping) for row in tx.execute(select(sessions).where(sessions.c.ended_ms.is_(None)))]


def sessions_of(tx: Tx, agent: str | None = None) -> list[Session]:
    """Every session of an agent, or of all, in the order in which they began."""
    query = select(sessions) if agent is None else select(sessions).where(sessions.c.agent == agent)
    return [Session(**row._mapping) for row in tx.execute(query.order_by(sessions.c.started_ms, func.length(sessions.c.id), sessions.c.id))]
