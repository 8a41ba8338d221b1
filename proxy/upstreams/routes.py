"""Upstreams, their keys and the routes of models to them, as requests use them."""

import hashlib
from dataclasses import dataclass, field

from billing.catalogue.costs import UNKNOWN, Costs
from proxy.parsing.adapting import Adaptation
from proxy.parsing.endpoints import endpoint_of
from proxy.parsing.intake import Intake

UNCHANGED = Adaptation()
DEFAULT_INTAKE = Intake()


@dataclass(frozen=True, slots=True)
class UpstreamKey:
    """One of our keys at a provider. `sealed` is its encrypted form, as the row has it.

    `origin` is the scheme, host and port that it may be sent to.
    """

    id: int
    secret: str = field(repr=False)
    sealed: bytes = field(repr=False)
    priority: int = 0
    weight: int = 1
    origin: str = ""

    @property
    def mark(self) -> str:
        """The key's name in Redis, which changes with its secret."""
        return f"{self.id}.{hashlib.sha256(self.sealed).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class Upstream:
    """A provider as requests are sent to it, with its usable keys."""

    id: int
    name: str
    base_url: str
    keys: tuple[UpstreamKey, ...]
    bills_after_cancel: bool
    connect_timeout_s: float
    first_byte_timeout_s: float
    idle_timeout_s: float
    total_timeout_s: float
    intake: Intake = DEFAULT_INTAKE
    # Fields of its answers that pass to clients, beside those that always do.
    answer_fields: frozenset[str] = frozenset()
    # Whether staff keep new requests away.
    is_paused: bool = False

    def __repr__(self) -> str:
        """Show the name alone: a traceback must not print a key."""
        return f"Upstream({self.name!r})"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets of our keys, which must not be shown to anybody."""
        return tuple(key.secret for key in self.keys)

    @property
    def circuit(self) -> str:
        """The name of the circuit that opens when the provider can't be reached."""
        return f"p{self.id}"


@dataclass(frozen=True, slots=True)
class UpstreamRoute:
    """One way to serve a model. No endpoints named means all of them."""

    id: int
    upstream: Upstream
    upstream_model: str
    priority: int = 0
    weight: int = 1
    endpoints: frozenset[str] = frozenset()
    adaptation: Adaptation = UNCHANGED
    costs: Costs = UNKNOWN
    # The most tokens of reasoning that the provider counts beside an answer's maximum.
    reasoning_beyond_maximum: int = 0

    @property
    def circuit(self) -> str:
        """The name of the circuit that opens when the provider fails at this model."""
        return f"r{self.id}"

    def serves(self, path: str) -> bool:
        """Tell whether requests of a path, such as /chat/completions, may go here."""
        return not self.endpoints or endpoint_of(path) in self.endpoints
