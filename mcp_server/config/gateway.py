"""[gateway], its accounts and all budgets: how models are reached, with which keys, and what may be spent.

Rule: a key itself never stands in a file that is in a repository; what looks like one is refused.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from mcp_server.config.positions import Keys
from mcp_server.config.reading import Source, did_you_mean, dotted, read, tables
from mcp_server.config.spec import AccountSpec, Budget, GatewaySettings

APIS = ("anthropic", "openai", "gemini")
BUDGETS = {"budget": (), "agent_budget": ("agent",), "session_budget": ("session",), "task_budget": ("task",)}
MEASURES = ("tokens", "cost_usd", "requests", "minutes")
PATIENCE_S_MAX = 3_600.0
ACCOUNT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


def read_gateway(source: Source, document: Mapping[str, Any]) -> GatewaySettings:
    """The section, or what holds without it."""
    whole = document.get("gateway", {})
    if not isinstance(whole, Mapping):
        source.problem(("gateway",), "gateway must be a table", "write [gateway] on a line of its own")
        return GatewaySettings()
    accounts = {
        name: account
        for name, table in _accounts(source, whole).items()
        if (account := _account(source, name, table))
    }
    plain = {key: value for key, value in whole.items() if key not in ("accounts", "budget")}
    gateway = read(GatewaySettings, source, ("gateway",), plain, accounts=accounts, **_budgets(source, whole))
    if gateway is None:
        return GatewaySettings()
    if not 0 <= gateway.patience_s <= PATIENCE_S_MAX:
        source.problem(
            ("gateway", "patience_s"),
            f"gateway.patience_s is {gateway.patience_s:g}",
            f"use 0 to {PATIENCE_S_MAX:g}",
        )
    if gateway.otlp_endpoint is not None:
        _check_url(source, ("gateway", "otlp_endpoint"), gateway.otlp_endpoint)
    return gateway


def _accounts(source: Source, whole: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    inner = Source(source.file, source.positions, [], source.lines_before)
    found = tables(inner, {"gateway.accounts": whole.get("accounts", {})}, "gateway.accounts")
    for problem in inner.problems:
        source.problem(("gateway", "accounts"), problem.message, problem.suggestion)
    return found


def _account(source: Source, name: str, table: Mapping[str, Any]) -> AccountSpec | None:
    keys = ("gateway", "accounts", name)
    if "key" in table:
        source.problem(
            (*keys, "key"),
            f"{dotted(keys)} holds a key",
            "name a variable in key_env or a file of mode 0600 in key_file",
        )
        return None
    by_name = {"api": name} if name in APIS and "api" not in table else {}
    account = read(AccountSpec, source, keys, {**by_name, **table}, name=name)
    if account is None:
        return None
    if not ACCOUNT_NAME.fullmatch(name):
        source.problem(
            keys,
            f"{name!r} cannot be a name",
            "use letters, digits, '_' and '-', at most 40, a letter or digit first",
        )
    if account.api not in APIS:
        source.problem(
            (*keys, "api"), f"{dotted(keys)}.api is {account.api!r}", did_you_mean(account.api, APIS)
        )
    if account.base_url is not None:
        _check_url(source, (*keys, "base_url"), account.base_url)
    if account.key_env is not None and account.key_file is not None:
        source.problem(
            (*keys, "key_file"), f"{dotted(keys)} has both key_env and key_file", "keep one of them"
        )
    if account.key_env is not None and not VARIABLE.fullmatch(account.key_env):
        source.problem(
            (*keys, "key_env"),
            f"{dotted(keys)}.key_env is no variable's name",
            'such as key_env = "OPENAI_API_KEY"; the key itself belongs into that variable',
        )
    return account


def _check_url(source: Source, keys: Keys, url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        plain = not (parts.username or parts.password or parts.query or parts.fragment)
    except ValueError:
        good = plain = False
    if not good:
        source.problem(
            keys, f"{dotted(keys)} is no http or https address", 'such as "https://models.example/v1"'
        )
    elif not plain:
        source.problem(
            keys,
            f"{dotted(keys)} holds more than an address",
            "leave out user, password, query and fragment; a key goes into key_env or key_file",
        )


def _budgets(source: Source, whole: Mapping[str, Any]) -> dict[str, Budget]:
    """[gateway.budget] is the run's; [gateway.budget.agent], .session and .task are those of each."""
    table = whole.get("budget", {})
    scopes = {inner[0] for inner in BUDGETS.values() if inner}
    flat = (
        {key: value for key, value in table.items() if key not in scopes}
        if isinstance(table, Mapping)
        else table
    )
    found = {"budget": read_budget(source, ("gateway", "budget"), {"budget": flat})}
    for name, inner in BUDGETS.items():
        if inner and isinstance(table, Mapping):
            found[name] = read_budget(source, ("gateway", "budget", *inner), table)
    return {name: budget or Budget() for name, budget in found.items()}


def read_budget(source: Source, keys: Keys, holder: Mapping[str, Any]) -> Budget | None:
    """The budget that stands in `holder` under the last of `keys`; None where there is none, or none that can
    be read.
    """
    if keys[-1] not in holder:
        return None
    table = holder[keys[-1]]
    if not isinstance(table, Mapping):
        source.problem(
            keys,
            f"{dotted(keys)} must be a table",
            f"such as {keys[-1]} = {{ tokens = 2_000_000, cost_usd = 5 }}",
        )
        return None
    budget = read(Budget, source, keys, table)
    for name in MEASURES:
        limit = getattr(budget, name, None)
        if limit is not None and limit <= 0:
            source.problem(
                (*keys, name),
                f"{dotted((*keys, name))} is {limit:g}",
                "it must be above 0; leave it out for no limit",
            )
    return budget
