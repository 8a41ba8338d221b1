"""What may be read of a prompt, for tests that know a model by its name alone."""

from proxy.metering.bounds import Reader, bound_prompt
from proxy.metering.prompt import Prompt

# More than any prompt of a test, so that it limits none.
MUCH = 20_000_000


def reader_of(
    model: str,
    *upstream_models: str,
    context_tokens: int | None = MUCH,
    tokens_per_100_bytes: int | None = None,
) -> Reader:
    """Return the reader of a model; its upstream calls it the same unless the test names one."""
    return Reader.of(
        model,
        upstream_models or [model],
        context_tokens=context_tokens,
        tokens_per_100_bytes=tokens_per_100_bytes,
    )


def bound(prompt: Prompt, *, context_tokens: int | None = MUCH) -> int:
    """Return what a hold takes for a prompt."""
    return bound_prompt(prompt, reader_of(prompt.model, context_tokens=context_tokens))
