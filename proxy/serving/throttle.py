"""What a process remembers of keys that were refused, so that refusals cost little or a turn.

A key that has just been refused for its requests per minute is refused without asking Redis.

A client that keeps sending would otherwise cost a count of its prompt and a round trip each time.
Only requests per minute can be known beforehand: whether the tokens per minute suffice depends on
the prompt, and a place among the requests at once may become free at any moment.
"""

import time
from dataclasses import replace

from billing.exceptions import Limited, RateLimited
from common.rates import Bucket, RateState
from proxy.serving.keys import KeyFacts

# Limits may be raised meanwhile; that is noticed after this time at the latest.
LONGEST_S = 1.0
# A key whose request was refused for any other reason takes its turn before the body is read, for
# so long: the refusal itself has taken none.
WATCH_S = 60.0
# Beyond it all are forgotten, which costs round trips and causes no error.
MAX_KEYS = 10_000


class Throttle:
    """The keys that have no requests left in this minute, or were refused lately. One a process."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], tuple[float, RateLimited]] = {}
        self._watched: dict[int, float] = {}

    def watch(self, key: KeyFacts) -> None:
        """Remember that a request of a key was refused."""
        if len(self._watched) >= MAX_KEYS:
            self._watched.clear()
        self._watched[key.api_key_id] = time.monotonic()

    def is_watched(self, key: KeyFacts) -> bool:
        """Tell whether a request of a key was refused within WATCH_S."""
        if (refused_at := self._watched.get(key.api_key_id)) is None:
            return False
        if time.monotonic() - refused_at < WATCH_S:
            return True
        del self._watched[key.api_key_id]
        return False

    def note(self, key: KeyFacts, refused: RateLimited) -> None:
        """Remember a refusal for as long as it is sure to hold.

        A copy: the frames of one that was raised hold the request with its body.
        """
        if refused.what is not Limited.REQUESTS:
            return
        if len(self._known) >= MAX_KEYS:
            self._known.clear()
        self._known[_name(key)] = (time.monotonic(), replace(refused))

    def check(self, key: KeyFacts) -> None:
        """Refuse a request of a key that still has none left. Raises RateLimited."""
        if (found := self._known.get(_name(key))) is None:
            return
        refused_at, refused = found
        passed_ms = int((time.monotonic() - refused_at) * 1_000)
        if passed_ms >= min(refused.retry_after_ms, LONGEST_S * 1_000):
            del self._known[_name(key)]
            return
        raise replace(
            refused,
            retry_after_ms=refused.retry_after_ms - passed_ms,
            rate=RateState(*(_later(bucket, passed_ms) for bucket in refused.rate)),
        )


def _name(key: KeyFacts) -> tuple[int, str]:
    # With other limits the key may have requests left.
    return key.api_key_id, key.limits.packed


def _later(bucket: Bucket, passed_ms: int) -> Bucket:
    return bucket._replace(reset_ms=max(0, bucket.reset_ms - passed_ms))
