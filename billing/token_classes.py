"""The classes in which a request's tokens are counted and priced, in one table.

`Usage`, `Rates`, `Settlement`, `UsageRecord` and `ModelPrice` spell their fields out, because types
and migrations need that. A test compares each with the table.
"""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter


@dataclass(frozen=True, slots=True)
class TokenClass:
    """One class. Its tokens are part of its parent's, and cost the same unless a price differs."""

    # Its name on a receipt's line and in the API.
    name: str
    # The field in which its tokens are counted.
    count: str
    # What a customer reads on a receipt; `words` completes "1,000 …" in the list of prices.
    label: str
    words: str = ""
    parent: str = ""
    # Whether each price version has to name its rate.
    has_own_rate: bool = False

    @property
    def rate(self) -> str:
        """Return its field in `Rates`."""
        return f"{self.name}_millicredits"

    @property
    def price_rate(self) -> str:
        """Return its field in `ModelPrice`."""
        return f"{self.name}_rate_millicredits"


# A token that is reported in two classes of one parent is counted in the first of them.
CLASSES = (
    TokenClass("prompt", "prompt_tokens", "Prompt", has_own_rate=True),
    TokenClass(
        "cached_prompt",
        "cached_tokens",
        "Cached prompt",
        "read from a cache",
        parent="prompt",
        has_own_rate=True,
    ),
    TokenClass(
        "cache_write",
        "cache_write_tokens",
        "Prompt written to the cache",
        "written to a cache",
        parent="prompt",
    ),
    TokenClass(
        "prompt_audio", "prompt_audio_tokens", "Audio in the prompt", "audio sent", parent="prompt"
    ),
    TokenClass(
        "prompt_image",
        "prompt_image_tokens",
        "Images in the prompt",
        "images sent",
        parent="prompt",
    ),
    TokenClass("completion", "completion_tokens", "Completion", has_own_rate=True),
    TokenClass("reasoning", "reasoning_tokens", "Reasoning", "reasoning", parent="completion"),
    TokenClass(
        "completion_audio",
        "completion_audio_tokens",
        "Audio in the answer",
        "audio answered",
        parent="completion",
    ),
)
BY_NAME = {each.name: each for each in CLASSES}
# Prompt and completion, and the classes that are part of each.
PARTS = {
    each: tuple(part for part in CLASSES if part.parent == each.name)
    for each in CLASSES
    if not each.parent
}
COUNTS = tuple(each.count for each in CLASSES)
PRICE_RATES = tuple(each.price_rate for each in CLASSES)

_read_counts: Callable[[object], tuple[int, ...]] = attrgetter(*COUNTS)


def counts_of(counted: object) -> dict[str, int]:
    """Return the tokens by field of an object that has a field for each class."""
    return dict(zip(COUNTS, _read_counts(counted), strict=True))
