"""How many second tries a provider may be sent, so that an outage is not multiplied.

A token bucket per provider and process (Finagle's retry budget): a request pays in a fifth of a
second try at every provider that sells its model, so at most a fifth of the traffic is repeated
at each once the reserve is used up. By then the circuit of what fails is open, and what comes next
is a first try elsewhere. A standby that serves only what others could not is paid for as well.
"""

from collections.abc import Iterable

SHARE = 0.2
# What a quiet provider may be sent at once; also what it starts with.
RESERVE = 100.0


class RetryBudget:
    """The allowance of second tries of one process, by provider."""

    def __init__(self, *, share: float = SHARE, reserve: float = RESERVE) -> None:
        self._share = share
        self._reserve = reserve
        self._left: dict[int, float] = {}

    def note_request(self, provider_ids: Iterable[int]) -> None:
        """Pay in for a request that these could serve."""
        for provider_id in provider_ids:
            left = self._left.get(provider_id, self._reserve)
            self._left[provider_id] = min(self._reserve, left + self._share)

    def take(self, provider_id: int) -> bool:
        """Take leave for a second try here. False if there is none left."""
        left = self._left.get(provider_id, self._reserve)
        if left < 1:
            return False
        self._left[provider_id] = left - 1
        return True
