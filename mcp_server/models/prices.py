"""Owns the price of a request, by the list of the `genai-prices` package that is installed; it asks nobody.

Rule: a model that the list does not have costs None, which is not zero.
"""

from contextlib import suppress

from genai_prices import Usage as Told
from genai_prices import calc_price

from mcp_server.models.apis import BASE_URLS, ModelApi
from mcp_server.models.usage import Usage

PROVIDERS = {ModelApi.ANTHROPIC: "anthropic", ModelApi.OPENAI: "openai", ModelApi.GEMINI: "google"}


def cost_usd(api: ModelApi, base_url: str, model: str | None, usage: Usage) -> float | None:
    """What the vendor of this base URL takes; behind an unlisted one, what the API's own vendor takes for a
    model of that name.
    """
    if not usage.known:
        return None
    if usage.tokens == 0:
        return 0.0
    if not model:
        return None
    told = Told(
        input_tokens=usage.input,
        cache_read_tokens=usage.cached_read,
        cache_write_tokens=usage.cached_write,
        output_tokens=usage.output,
    )
    if base_url != BASE_URLS[api]:
        with suppress(LookupError, ValueError):
            return float(calc_price(told, model, provider_api_url=base_url).total_price)
    with suppress(LookupError, ValueError):
        return float(calc_price(told, model, provider_id=PROVIDERS[api]).total_price)
    return None


def warm_up() -> None:
    """Reads the list, which takes a moment, before anybody waits for it."""
    cost_usd(ModelApi.OPENAI, BASE_URLS[ModelApi.OPENAI], "gpt-4o", Usage(input=1, output=1, known=True))
