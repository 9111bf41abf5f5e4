"""Owns the price of a request, by the list of the `genai-prices` package that is installed; it asks nobody.

Rule: a model that the list does not have costs None, which is not zero.
"""

from contextlib import suppress

from genai_prices import Usage as PricedUsage
from genai_prices import calc_price

from mcp_server.models.apis import BASE_URLS, ModelApi
from mcp_server.models.token_fields import Usage

PROVIDERS = {ModelApi.ANTHROPIC: "anthropic", ModelApi.OPENAI: "openai", ModelApi.GEMINI: "google"}


def cost_usd(api: ModelApi, base_url: str, model: str | None, usage: Usage) -> float | None:
    """Return what the vendor of this base URL takes, in US dollars; None where nobody knows.

    Behind an unlisted base URL it is what the API's own vendor takes for a model of that name.
    """
    if not usage.is_known:
        return None
    if usage.tokens == 0:
        return 0.0
    if not model:
        return None
    priced = PricedUsage(
        input_tokens=usage.input,
        cache_read_tokens=usage.cached_read,
        cache_write_tokens=usage.cached_write,
        output_tokens=usage.output,
    )
    if base_url != BASE_URLS[api]:
        with suppress(LookupError, ValueError):
            return float(calc_price(priced, model, provider_api_url=base_url).total_price)
    with suppress(LookupError, ValueError):
        return float(calc_price(priced, model, provider_id=PROVIDERS[api]).total_price)
    return None


def warm_up() -> None:
    """Read the list, which takes a moment, before anybody waits for it."""
    cost_usd(ModelApi.OPENAI, BASE_URLS[ModelApi.OPENAI], "gpt-4o", Usage(input=1, output=1, is_known=True))
