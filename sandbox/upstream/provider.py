"""The state of one emulator process."""

import hmac
from collections import OrderedDict
from dataclasses import dataclass, field

from sandbox.upstream.conversations import Conversations
from sandbox.upstream.fault_rules import FaultRules
from sandbox.upstream.organisation import Bills
from sandbox.upstream.tally import Tally

# Conversations whose failures `fault-flaky` remembers; the oldest is forgotten.
MAX_FLAKY_CONVERSATIONS = 10_000

# Found nowhere else: a leak test may look for it in whatever the product sends or stores.
ORGANISATION = "org-SandboxUpstreamCanary"
NAME = "Sandbox Upstream Inc."


@dataclass(slots=True)
class Provider:
    """What all requests share."""

    api_keys: list[str]
    tokens_per_second: float = 0
    # Of the account's administrator, who may ask for usage, costs and credits.
    admin_key: str | None = None
    bills: Bills = field(default_factory=Bills)
    tally: Tally = field(init=False)
    fault_rules: FaultRules = field(default_factory=FaultRules)
    # Keys that were switched off over the control API.
    disabled_keys: set[str] = field(default_factory=set)
    # What `/v1/responses` was asked to store.
    conversations: Conversations = field(default_factory=Conversations)
    _failures: OrderedDict[bytes, int] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self.tally = Tally(on_end=self.bills.add)

    def is_admin(self, presented: str | None) -> bool:
        """Is this the administrator's key?"""
        return bool(presented and self.admin_key) and hmac.compare_digest(
            str(presented).encode(), str(self.admin_key).encode()
        )

    def number_of(self, presented: str | None) -> int | None:
        """Which of its keys this is, from 0; None if it is none, or switched off."""
        if presented is None or presented in self.disabled_keys:
            return None
        # Every key is compared, so that the time tells nothing.
        matches = [hmac.compare_digest(presented.encode(), key.encode()) for key in self.api_keys]
        return matches.index(True) if True in matches else None

    def fail_again(self, conversation: bytes, times: int) -> bool:
        """Has this conversation failed fewer than so many times? Counts one more if so."""
        failures = self._failures.get(conversation, 0)
        if failures >= times:
            return False
        self._failures[conversation] = failures + 1
        if len(self._failures) > MAX_FLAKY_CONVERSATIONS:
            self._failures.popitem(last=False)
        return True

    def reset(self) -> None:
        """Forget everything that was served, and every fault."""
        self.bills = Bills()
        self.tally = Tally(on_end=self.bills.add)
        self.fault_rules = FaultRules()
        self.disabled_keys = set()
        self.conversations = Conversations()
        self._failures.clear()
