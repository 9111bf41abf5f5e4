"""Opens the accounts when the server starts: keys from the environment or from files, or a clear word on what
is wrong.

Rule: a vendor's own variable is sent to that vendor alone; an account with an address of its own names its
key, or has none.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from mcp_server.config import AccountSpec, Config
from mcp_server.models import keys, prices
from mcp_server.models.accounts import Account
from mcp_server.models.apis import BASE_URLS, KEY_VARIABLES, ModelApi
from mcp_server.models.keys import AccountKey, BadKey


def open_accounts(
    config: Config, environ: Mapping[str, str], now_ms: Callable[[], int]
) -> dict[str, Account]:
    """Return the accounts of the configuration, and those of vendors whose key is simply there.

    Raise BadKey if an account cannot be used.
    """
    accounts = {
        name: _open_account(spec, config.root, environ, now_ms)
        for name, spec in config.gateway.accounts.items()
    }
    for api in ModelApi:
        if api not in accounts and (key := _of_vendor(api, environ)) is not None:
            accounts[str(api)] = Account(str(api), api, BASE_URLS[api], key, now_ms)
    if accounts and config.gateway.prices:
        prices.warm_up()
    return accounts


def _open_account(
    spec: AccountSpec, root: Path, environ: Mapping[str, str], now_ms: Callable[[], int]
) -> Account:
    api = ModelApi(spec.api)
    return Account(
        spec.name, api, spec.base_url or BASE_URLS[api], _key(spec, api, root, environ), now_ms, spec.models
    )


def _key(spec: AccountSpec, api: ModelApi, root: Path, environ: Mapping[str, str]) -> AccountKey | None:
    if spec.key_file is not None:
        return keys.from_file(root / Path(spec.key_file).expanduser())
    if spec.key_env is not None:
        key = keys.from_variable(environ, spec.key_env)
        if key is None:
            raise BadKey(
                f"account {spec.name} takes its key from the variable {spec.key_env}, which is not set"
            )
        return key
    if spec.base_url is not None:
        return None
    key = _of_vendor(api, environ)
    if key is None:
        raise BadKey(
            f"account {spec.name} has no key: set {KEY_VARIABLES[api][0]}, or name key_env or key_file"
        )
    return key


def _of_vendor(api: ModelApi, environ: Mapping[str, str]) -> AccountKey | None:
    return next(
        (key for name in KEY_VARIABLES[api] if (key := keys.from_variable(environ, name)) is not None), None
    )
