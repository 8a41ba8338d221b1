"""The names of the endpoints that call a model, from which staff choose what a route serves."""

ENDPOINTS = ("chat.completions", "completions", "embeddings", "responses")


def endpoint_of(path: str) -> str:
    """Return the endpoint of a path: chat.completions for /chat/completions."""
    return path.strip("/").replace("/", ".")
