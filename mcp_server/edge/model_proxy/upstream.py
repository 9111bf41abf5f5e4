"""Owns the way to the vendors: one HTTP client for all accounts, and what their first answer means.

Rule: the only place that reveals a key; nothing here is logged.
"""

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2
from yarl import URL

from mcp_server.models import apis, quota
from mcp_server.models.accounts import Account
from mcp_server.models.apis import Call, Headers
from mcp_server.models.quota import Quota

CONNECT_S = 15.0
READ_S = 900.0  # models may think long before the first byte, and every client gives up before this
ERROR_BYTES_MAX = 1 << 20
ERROR_S = 10.0  # for the body of an error
CONNECTIONS_MAX = 1_024
KEPT_S = 30.0
HEADER_BYTES_MAX = 64 << 10
BUFFER_BYTES = 64 << 10  # read ahead of a client that is slower than its vendor
LOOPBACK = ("127.0.0.1", "localhost", "::1")
WRITTEN_BY_US = (
    "user-agent",
    "accept",
    "accept-encoding",
    "content-type",
)  # what the client library would add
Broken = (aiohttp.ClientError, TimeoutError)


class UpstreamGone(Exception):
    """The vendor could not be reached, or broke off. Holds the kind of failure only: what libraries write may
    hold addresses.
    """


@dataclass(frozen=True)
class UpstreamFailed:
    """An answer that is an error, read whole. `body` is None where it cannot be shown: packed, so that nobody
    knows what it holds.
    """

    status: int
    headers: Headers
    body: bytes | None
    quota: Quota | None


class Answering:
    """An answer that goes well; its bytes are still to come. Used `with`-like: `close` it."""

    def __init__(self, response: aiohttp.ClientResponse, headers: Headers):
        self._response = response
        self.status, self.headers = response.status, headers

    def header(self, name: str) -> str:
        return self._response.headers.get(name, "")

    async def next(self) -> bytes | None:
        """The next bytes as they came; None at the end. Raises Gone where it is cut. May be cancelled and
        asked again.
        """
        try:
            return await self._response.content.readany() or None
        except Broken as broke:
            raise UpstreamGone(type(broke).__name__) from None

    def close(self) -> None:
        """A connection whose answer was read to its end is kept; any other is given up."""
        self._response.close()


class Upstream:
    """Made once and closed once; the connections are kept for all.

    The client is aiohttp, since httpx's takes three times as long over a chunk (docs/decisions/0011).
    """

    def __init__(self) -> None:
        self._client: aiohttp.ClientSession | None = None
        self._proxies: dict[str, str | None] = {}

    def _http(self) -> aiohttp.ClientSession:
        # Not before it is needed: reading the certificates of the world takes a while.
        if self._client is None:
            self._client = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=CONNECTIONS_MAX, keepalive_timeout=KEPT_S, ssl=httpx2.create_ssl_context()
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=READ_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=WRITTEN_BY_US,
                read_bufsize=BUFFER_BYTES,
                max_line_size=HEADER_BYTES_MAX,
                max_field_size=HEADER_BYTES_MAX,
                trust_env=False,  # it would send what ~/.netrc holds; the proxy is found by `_proxy`
            )
        return self._client

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def ask(
        self, account: Account, call: Call, query: str, headers: Headers, body: bytes, now_ms: int
    ) -> Answering | UpstreamFailed:
        """One try. Raises Gone where no answer begins."""
        sent = apis.request_headers(headers)
        if account.key is not None:
            sent.append(apis.credential(account.api, account.key.reveal()))
        try:
            response = await self._http().request(
                call.method,
                URL(apis.upstream_url(account.base_url, call, query), encoded=True),
                headers=[(_text(name), _text(value)) for name, value in sent],
                data=body or None,
                allow_redirects=False,
                proxy=self._proxy(account.base_url),
            )
        except (*Broken, ValueError) as broke:
            raise UpstreamGone(type(broke).__name__) from None
        raw = list(response.raw_headers)
        safe_headers = (
            raw if account.key is None else [(name, account.key.hidden_in(value)) for name, value in raw]
        )
        if response.status < 300:
            return Answering(response, safe_headers)
        try:
            error_body = await _bounded(response)
        finally:
            response.close()
        if account.key is not None:
            error_body = account.key.hidden_in(error_body)
        names = {name.lower(): value for name, value in response.headers.items()}
        # Nor is anybody sent elsewhere.
        readable = response.status >= 400 and names.get("content-encoding", "identity") == "identity"
        found = quota.read(account.api, response.status, names, error_body, now_ms)
        return UpstreamFailed(response.status, safe_headers, error_body if readable else None, found)

    def _proxy(self, base_url: str) -> str | None:
        """The proxy that the environment names for this address; none for what runs beside us."""
        if base_url not in self._proxies:
            where, named = urlsplit(base_url), getproxies()
            host = where.hostname or ""
            self._proxies[base_url] = (
                None
                if host in LOOPBACK or proxy_bypass(host)
                else named.get(where.scheme) or named.get("all")
            )
        return self._proxies[base_url]


def _text(value: bytes) -> str:
    """As the client library takes headers, which it writes as UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    """An error's body as far as it can be had: cut at ERROR_BYTES_MAX, at ERROR_S, or where the connection
    broke.
    """
    got = bytearray()
    try:
        async with asyncio.timeout(ERROR_S):
            while len(got) <= ERROR_BYTES_MAX and (chunk := await response.content.readany()):
                got += chunk
    except Broken:
        pass
    return bytes(got[:ERROR_BYTES_MAX])
