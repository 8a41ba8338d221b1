"""GET /v1/models and /v1/models/{id}"""

from sandbox.upstream.errors import model_not_found
from sandbox.upstream.exchange import Exchange

# Those that the list names. Any other name is served too: it may carry a speed or a fault.
MODELS = (
    "gpt-4",
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-3.5-turbo",
    "gpt-5",
    "gpt-5-mini",
    "o3",
    "o4-mini",
    "gpt-3.5-turbo-instruct",
    "text-embedding-3-small",
    "text-embedding-3-large",
    "text-embedding-ada-002",
)
CREATED_AT = 1715367049


def _describe(model: str) -> dict[str, object]:
    return {"id": model, "object": "model", "created": CREATED_AT, "owned_by": "sandbox"}


async def list_models(exchange: Exchange) -> None:
    """Answer with every listed model."""
    data = [_describe(model) for model in MODELS]
    await exchange.respond_json({"object": "list", "data": data})


async def get_model(exchange: Exchange, model: str) -> None:
    """Answer with one listed model. Raises ApiError 404."""
    if model not in MODELS:
        raise model_not_found(model)
    await exchange.respond_json(_describe(model))
