"""Owns the way to the vendors: one HTTP client for all accounts, and what their first answer means.

Rule: the only place that reveals a key; nothing here is logged.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx2

from mcp_server.gateway import apis, quota
from mcp_server.gateway.accounts import Account
from mcp_server.gateway.apis import Call, Headers
from mcp_server.gateway.quota import Quota

CONNECT_S = 15.0
READ_S = 900.0  # models may think long before the first byte, and every client gives up before this
ERROR_BYTES_MAX = 1 << 20
ERROR_S = 10.0  # for the body of an error
CONNECTIONS_MAX = 1_024
KEPT_MAX = 128
KEPT_S = 30.0


class Gone(Exception):
    """The vendor could not be reached, or broke off. Holds the kind of failure only: what libraries write may hold addresses."""


@dataclass(frozen=True)
class Failed:
    """An answer that is an error, read whole. `body` is None where it cannot be shown: packed, so that nobody knows what it holds."""

    status: int
    headers: Headers
    body: bytes | None
    quota: Quota | None


class Answering:
    """An answer that goes well; its bytes are still to come. Used `with`-like: `close` it."""

    def __init__(self, response: httpx2.Response, headers: Headers):
        self._response = response
        self._chunks = response.aiter_raw().__aiter__()
        self.status, self.headers = response.status_code, headers

    def header(self, name: str) -> str:
        return self._response.headers.get(name, "")

    async def next(self) -> bytes | None:
        """The next bytes as they came; None at the end. Raises Gone where it is cut."""
        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            return None
        except (httpx2.TransportError, httpx2.StreamError) as broke:
            raise Gone(type(broke).__name__) from None

    async def close(self) -> None:
        await self._response.aclose()


class Upstream:
    """Made once and closed once; the connections are kept for all."""

    def __init__(self) -> None:
        self._client: httpx2.AsyncClient | None = None

    def _http(self) -> httpx2.AsyncClient:
        if self._client is None:  # not before it is needed: reading the certificates of the world takes a while
            timeout = httpx2.Timeout(READ_S, connect=CONNECT_S, pool=None)
            limits = httpx2.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=KEPT_MAX, keepalive_expiry=KEPT_S)
            here: Any = {f"all://{name}": None for name in ("127.0.0.1", "localhost", "[::1]")}  # no proxy for what runs beside us
            self._client = httpx2.AsyncClient(timeout=timeout, limits=limits, follow_redirects=False, http2=False, mounts=here)
        return self._client

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def ask(self, account: Account, call: Call, query: str, headers: Headers, body: bytes, now_ms: int) -> Answering | Failed:
        """One try. Raises Gone where no answer begins."""
        client = self._http()
        sent = apis.request_headers(headers)
        if account.key is not None:
            sent.append(apis.credential(account.api, account.key.reveal()))
        try:
            request = client.build_request(call.method, apis.upstream_url(account.base_url, call, query), headers=sent, content=body or None)
            response = await client.send(request, stream=True, auth=None)
        except (httpx2.TransportError, httpx2.InvalidURL) as broke:
            raise Gone(type(broke).__name__) from None
        shown = response.headers.raw if account.key is None else [(name, account.key.hidden_in(value)) for name, value in response.headers.raw]
        if response.status_code < 300:
            return Answering(response, shown)
        try:
            told = await _bounded(response)
        finally:
            await response.aclose()
        if account.key is not None:
            told = account.key.hidden_in(told)
        names = {name.lower(): value for name, value in response.headers.items()}
        readable = response.status_code >= 400 and names.get("content-encoding", "identity") == "identity"  # nor is anybody sent elsewhere
        found = quota.read(account.api, response.status_code, names, told, now_ms)
        return Failed(response.status_code, shown, told if readable else None, found)


async def _bounded(response: httpx2.Response) -> bytes:
    """An error's body as far as it can be had: cut at ERROR_BYTES_MAX, at ERROR_S, or where the connection broke."""
    got = bytearray()
    try:
        async with asyncio.timeout(ERROR_S):
            async for chunk in response.aiter_raw():
                got += chunk
                if len(got) > ERROR_BYTES_MAX:
                    break
    except (TimeoutError, httpx2.TransportError, httpx2.StreamError):
        pass
    return bytes(got[:ERROR_BYTES_MAX])

