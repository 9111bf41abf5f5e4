"""Bearer tokens: issued once, kept as a hash, and turned into a principal. Rule: an identity comes from a
token alone.
"""

import hashlib
import os
import secrets
from pathlib import Path

from mcp_server.core.principal import Principal
from mcp_server.store import Store, Tx, people


def hashed(token: str) -> str:
    """Return the SHA-256 of a token in hexadecimal: what the database keeps of it."""
    return hashlib.sha256(token.encode()).hexdigest()


def issue(tx: Tx, name: str, role: str, now_ms: int, *, session: str | None = None) -> str:
    """Return a new token. Only its hash is kept, so this is the one time that it can be read."""
    token = f"hs_{secrets.token_urlsafe(32)}"
    people.add_token(tx, sha256=hashed(token), name=name, role=role, session=session, now_ms=now_ms)
    return token


def write_role_token(store: Store, path: Path, role: str, now_ms: int) -> None:
    """Write the token file of a role if there is none, or if the database does not know the token in it."""
    if path.exists():
        with store.read() as tx:
            if people.token_by_hash(tx, hashed(path.read_text().strip())) is not None:
                return
    with store.write() as tx:
        token = issue(tx, role, role, now_ms)
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(token + "\n")


def principal_of(store: Store, token: str, door: str | None) -> Principal | None:
    """Return the token's holder; None if it is unknown, revoked, or used through another session's door."""
    with store.read() as tx:
        row = people.token_by_hash(tx, hashed(token))
    if row is None or row.revoked_ms is not None:
        return None
    if door is not None and row.session != door:
        return None
    return Principal(row.name, row.role, row.session)
