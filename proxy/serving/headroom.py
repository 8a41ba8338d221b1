"""Whether a key has so much left that a prompt need not be counted for its hold.

A prompt has no more tokens than bytes. Where that bound leaves ample room it is held, and most
prompts are never counted. Redis decides about this hold as about any other; what is remembered
here only chooses how the prompt is measured for it.
"""

from billing.wallet.client import Placed
from proxy.serving.keys import KeyFacts

# A bound may be four times the count, and much more of spaces. It is held only if so many more
# like it would fit, so that what it takes too much keeps nobody from anything meanwhile.
TIMES = 32
# Beyond it all are forgotten: then prompts are counted.
MAX_KEYS = 10_000


class Headroom:
    """What keys had left when their last holds were placed. One per process."""

    def __init__(self) -> None:
        # Credits, and tokens of the minute, of each key.
        self._left: dict[int, tuple[int, int]] = {}

    def note(self, key: KeyFacts, placed: Placed) -> None:
        """Remember what a hold left."""
        if len(self._left) >= MAX_KEYS:
            self._left.clear()
        self._left[key.api_key_id] = (placed.available_credits, placed.rate.tokens.remaining)

    def forget(self, key: KeyFacts) -> None:
        """Forget what a key had left, since it has less now."""
        self._left.pop(key.api_key_id, None)

    def is_known(self, key: KeyFacts) -> bool:
        """Tell whether anything is known of a key. What is left of its caps never is."""
        return key.api_key_id in self._left and not key.limits.is_capped

    def is_ample(self, key: KeyFacts, *, credits: int, tokens: int) -> bool:
        """Tell whether a hold of so much would leave a key ample room."""
        left_credits, left_tokens = self._left.get(key.api_key_id, (0, 0))
        return credits * TIMES <= left_credits and tokens * TIMES <= left_tokens
