"""What may be asked, where it goes, whose key goes with it, and how each API hears no. Nothing here runs a
server.
"""

import json
import os
import pickle
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server import config
from mcp_server.edge.model_proxy.answer import up_to_event_end
from mcp_server.models import apis, errors, keys, opening
from mcp_server.models.apis import Call, CallKind, Form, ModelApi, RequestFacts, Wrong
from mcp_server.models.keys import AccountKey, BadKey
from tests.server import toy

SECRET = "sk-secret-0123456789"

LISTED = [
    ("anthropic", "POST", "/v1/messages", Form.MESSAGES, "/v1/messages"),
    ("anthropic", "POST", "/v1/messages/count_tokens", Form.COUNT, "/v1/messages/count_tokens"),
    ("openai", "POST", "/v1/responses", Form.RESPONSES, "/v1/responses"),
    ("openai", "POST", "/v1/chat/completions", Form.CHAT, "/v1/chat/completions"),
    ("openai", "GET", "/v1/models", Form.LIST, "/v1/models"),
    (
        "gemini",
        "POST",
        "/v1beta/models/gemini-2.5-pro:generateContent",
        Form.GENERATE,
        "/v1beta/models/gemini-2.5-pro:generateContent",
    ),
    (
        "gemini",
        "POST",
        "/v1/models/gemini-2.5-pro:streamGenerateContent",
        Form.GENERATE,
        "/v1/models/gemini-2.5-pro:streamGenerateContent",
    ),
    ("gemini", "POST", "/v1beta/models/g:countTokens", Form.COUNT, "/v1beta/models/g:countTokens"),
]


@pytest.mark.parametrize(("api", "method", "path", "form", "goes"), LISTED)
def test_what_is_listed_goes_to_the_vendor(api: str, method: str, path: str, form: Form, goes: str):
    found = apis.call(ModelApi(api), method, path)
    assert isinstance(found, Call) and (found.form, found.path) == (form, goes)
    base = apis.BASE_URLS[ModelApi(api)]
    assert apis.upstream_url(base, found, "") == base.removesuffix("/v1") + goes


@given(
    api=st.sampled_from(ModelApi),
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]),
    path=st.text(st.sampled_from("/v1betamodels.:-%?#\\ @gnerateContent"), max_size=60),
)
def test_nothing_else_does(api: ModelApi, method: str, path: str):
    found = apis.call(api, method, "/" + path)
    if isinstance(found, Call) and found.form is not Form.PROBE:
        assert not set(found.path) & set("%?#\\ @") and ".." not in found.path.rpartition("/models/")[0]
        assert any((str(api), method, found.form) == (one[0], one[1], one[3]) for one in LISTED)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "CONNECT"])
@pytest.mark.parametrize("listed", LISTED, ids=lambda one: one[2])
def test_another_method_is_not_allowed(listed: tuple, method: str):
    if method == listed[1]:
        return
    found = apis.call(ModelApi(listed[0]), method, listed[2])
    assert isinstance(found, Wrong) and (found.status, found.allow) == (405, listed[1])


@pytest.mark.parametrize(
    ("base", "path", "url"),
    [
        ("http://127.0.0.1:9", "/v1/responses", "http://127.0.0.1:9/v1/responses"),
        ("http://127.0.0.1:9/", "/v1/responses", "http://127.0.0.1:9/v1/responses"),
        ("http://models.example/v1", "/v1/chat/completions", "http://models.example/v1/chat/completions"),
        (
            "http://models.example/api/paas/v4/",
            "/v1/chat/completions",
            "http://models.example/api/paas/v4/chat/completions",
        ),
    ],
)
def test_an_openai_base_url_is_taken_as_clients_take_it(base: str, path: str, url: str):
    found = apis.call(ModelApi.OPENAI, "POST", path)
    assert isinstance(found, Call) and apis.upstream_url(base, found, "") == url


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("", ""),
        ("alt=sse", "?alt=sse"),
        ("key=x", ""),
        ("key=x&alt=sse&key=y", "?alt=sse"),
        ("monkey=x&b=%0d%0a", "?monkey=x&b=%0d%0a"),
    ],
)
def test_a_query_goes_on_without_the_clients_key(query: str, sent: str):
    found = apis.call(ModelApi.GEMINI, "POST", "/v1/models/g:countTokens")
    assert (
        isinstance(found, Call)
        and apis.upstream_url("http://x", found, query) == f"http://x/v1/models/g:countTokens{sent}"
    )


MESSAGES = Call(ModelApi.ANTHROPIC, Form.MESSAGES, "POST", "/v1/messages")


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b'{"model":"m","stream":true}', RequestFacts("m", True)),
        (b'{"model":"m"}', RequestFacts("m", False)),
        (b'{"stream":null,"model":"m","x":{"stream":true,"model":"n"}}', RequestFacts("m", False)),
        (b'{"model":"m","x":"\\ud800","stream":true}', RequestFacts("m", True)),
        (
            b'{"model":"m","stream":true,"stream_options":{"include_usage":true,"other":1},"background":true}',
            RequestFacts("m", True, True, True),
        ),
        (b"[]", None),
        (b"", None),
        (b"{", None),
        (b'{"model":7}', None),
        (b"\xff", None),
    ],
)
def test_a_body_is_read_for_model_and_stream_only(body: bytes, wanted: RequestFacts | None):
    assert apis.asked(MESSAGES, body) == wanted


@pytest.mark.parametrize("api", ModelApi)
def test_credentials_and_hop_headers_are_left_out_and_everything_else_kept(api: ModelApi):
    given = [
        (name.encode(), b"v")
        for name in (
            *apis.CREDENTIAL_HEADERS,
            *apis.HOP_BY_HOP,
            "Host",
            "Content-Length",
            "Accept-Encoding",
            "X-Mine",
            "anthropic-beta",
            "User-Agent",
        )
    ]
    sent = dict(apis.request_headers([*given, (b"Connection", b"X-Named, close"), (b"x-named", b"v")]))
    assert sent == {
        b"X-Mine": b"v",
        b"anthropic-beta": b"v",
        b"User-Agent": b"v",
        b"accept-encoding": b"identity",
    }
    name, value = apis.credential(api, SECRET)
    assert name.decode() in apis.CREDENTIAL_HEADERS and SECRET.encode() in value
    back = apis.response_headers(
        [
            (b"set-cookie", b"x"),
            (b"transfer-encoding", b"chunked"),
            (b"request-id", b"r"),
            (b"content-encoding", b"gzip"),
        ]
    )
    assert back == [(b"request-id", b"r"), (b"content-encoding", b"gzip")]


@pytest.mark.parametrize("kind", CallKind)
@pytest.mark.parametrize("form", [Form.MESSAGES, Form.RESPONSES, Form.CHAT, Form.GENERATE])
def test_every_no_has_the_shape_of_its_api_whole_and_in_a_stream(form: Form, kind: CallKind):
    api = {Form.MESSAGES: ModelApi.ANTHROPIC, Form.GENERATE: ModelApi.GEMINI}.get(form, ModelApi.OPENAI)
    whole = errors.error(api, kind, "why not", retry_after_s=7)
    assert whole["error"]["message"] == "why not" and errors.STATUSES[kind] >= 400
    if api is ModelApi.GEMINI:
        assert (whole["error"]["code"], whole["error"]["details"][-1]["retryDelay"]) == (
            errors.STATUSES[kind],
            "7s",
        )
    event = errors.stream_error(form, kind, "why not", retry_after_s=7)
    data = next(
        line.removeprefix(b"data: ") for line in event.split(b"\n") if line.startswith((b"data: ", b"{"))
    )
    told = json.loads(data)
    assert event.endswith(b"\n\n") and "why not" in json.dumps(told)
    assert (
        (told.get("type") == "response.failed" and told["response"]["error"]["code"])
        if form is Form.RESPONSES
        else told["error"]
    )


@pytest.mark.parametrize(
    ("chunk", "end"),
    [
        (b"", 0),
        (b"data: x", 0),
        (b"data: x\n\n", 9),
        (b"data: x\r\n\r\ndata", 11),
        (b"a\n\nb\n\nc", 6),
        (b"a\r\rb", 3),
    ],
)
def test_an_event_of_ours_goes_only_between_events(chunk: bytes, end: int):
    assert up_to_event_end(chunk) == end


# -- keys and accounts


def test_a_key_shows_itself_to_nobody():
    key = AccountKey(SECRET)
    assert SECRET not in f"{key} {key!r} {[key]} {key.__class__.__dict__}" and not hasattr(key, "__dict__")
    with pytest.raises(TypeError, match="not written"):
        pickle.dumps(key)
    assert key.hidden_in(f"x {SECRET} y".encode()) == b"x (key) y"
    try:
        raise ValueError(key)
    except ValueError:
        assert SECRET not in traceback.format_exc()


def key_file(tmp_path: Path, text: str = SECRET, mode: int = 0o600) -> Path:
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601])
def test_a_key_file_that_others_can_read_is_not_read(tmp_path: Path, mode: int):
    with pytest.raises(BadKey, match="chmod 600") as told:
        keys.from_file(key_file(tmp_path, mode=mode))
    assert SECRET not in str(told.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("two words", "one line"),
        ("a\nb", "one line"),
        ("k\u00e9y", "ASCII"),
        ("x" * 5_000, "one line"),
        ("a\0b", "one line"),
    ],
)
def test_what_is_no_key_is_refused_without_being_repeated(tmp_path: Path, text: str, why: str):
    with pytest.raises(BadKey, match=why) as told:
        keys.from_file(key_file(tmp_path, text))
    assert not text or text not in str(told.value)


def test_a_key_file_is_read_without_its_line_end(tmp_path: Path):
    assert keys.from_file(key_file(tmp_path, SECRET + "\n")).reveal() == SECRET
    for missing in (tmp_path / "none", tmp_path):
        with pytest.raises(BadKey):
            keys.from_file(missing)


def opened(more: str, environ: dict[str, str], root: Path = Path()) -> dict:
    found = config.parse(toy.TOML + more, {"tasks/1.md": toy.task("T01", "shout")}, root=root)
    assert not isinstance(found, list), found
    return opening.open_accounts(found, environ, lambda: 0)


def test_a_vendor_whose_key_is_there_has_an_account():
    assert opened("", {}) == {} and opened("", {"OPENAI_API_KEY": " "}) == {}
    found = opened("", {"ANTHROPIC_API_KEY": SECRET, "GOOGLE_API_KEY": "google"})
    assert {name: (one.api, one.base_url, one.key.reveal()) for name, one in found.items()} == {
        "anthropic": (ModelApi.ANTHROPIC, "https://api.anthropic.com", SECRET),
        "gemini": (ModelApi.GEMINI, "https://generativelanguage.googleapis.com", "google"),
    }
    assert SECRET not in repr(found)


def test_a_vendors_key_is_never_sent_to_another_address():
    found = opened(
        '\n[gateway.accounts.openai]\nbase_url = "http://elsewhere.example/v1"', {"OPENAI_API_KEY": SECRET}
    )
    assert found["openai"].key is None and found["openai"].base_url == "http://elsewhere.example/v1"


def test_an_account_takes_the_key_that_it_names(tmp_path: Path):
    key_file(tmp_path)
    named = '\n[gateway.accounts.{}]\napi = "openai"\nbase_url = "http://x/v1"\n{}\n'
    found = opened(
        named.format("a", 'key_env = "MINE"') + named.format("b", 'key_file = "key"'),
        {"MINE": "mine", "OPENAI_API_KEY": "notthis"},
        tmp_path,
    )
    assert {name: found[name].key.reveal() for name in "ab"} == {"a": "mine", "b": SECRET}


@pytest.mark.parametrize("more", ['key_env = "MINE"', "", 'key_file = "none"'])
def test_an_account_without_its_key_is_told_at_the_start(more: str):
    with pytest.raises(BadKey, match="MINE|OPENAI_API_KEY|none"):
        opened(f"\n[gateway.accounts.openai]\n{more}", {})


def test_a_fifo_or_a_directory_is_no_key_file(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(BadKey):
        keys.from_file(tmp_path / "pipe")
