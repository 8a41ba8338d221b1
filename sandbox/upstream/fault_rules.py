"""Faults for any model, set over the control API: for the next requests, or by a seeded chance."""

import random
from dataclasses import dataclass, field
from typing import Any

from sandbox.upstream.errors import ApiError
from sandbox.upstream.faults import Fault
from sandbox.upstream.validation import check_integer, check_number, check_type, missing

RULE_FIELDS = {"fault", "key", "model", "next", "probability", "seed"}
MAX_KEYS = 1_000
MAX_NEXT = 2**31


@dataclass(slots=True)
class FaultRule:
    """When to have which fault."""

    fault: str
    kind: Fault
    model: str | None
    key: int | None
    remaining: int | None
    probability: float
    seed: int
    applied: int = 0
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311 - a replayable draw, not a secret

    @classmethod
    def parse(cls, payload: object) -> "FaultRule":
        """Read a rule. Raises ApiError 400."""
        if not isinstance(payload, dict):
            raise ApiError(400, "Expected a rule or an array of rules.")
        unknown = sorted(set(payload) - RULE_FIELDS)
        if unknown:
            raise ApiError(400, f"Unknown field '{unknown[0]}'.", param=unknown[0])
        fault: str | None = check_type(payload, "fault", str)
        if fault is None:
            raise missing("fault")
        probability = check_number(payload, "probability", 0, 1)
        return cls(
            fault=fault,
            kind=_parse_fault(fault),
            model=check_type(payload, "model", str),
            key=check_integer(payload, "key", 0, MAX_KEYS),
            remaining=check_integer(payload, "next", 1, MAX_NEXT),
            probability=1.0 if probability is None else probability,
            seed=check_integer(payload, "seed", 0, MAX_NEXT) or 0,
        )

    def draw(self, model: str, key: int | None) -> bool:
        """Does this request get the fault? Uses up one of the next requests if it does."""
        if self.remaining == 0 or self.model not in (None, model) or self.key not in (None, key):
            return False
        # Always draws, so that the same requests meet the same faults again.
        if self.chance.random() >= self.probability:
            return False
        if self.remaining is not None:
            self.remaining -= 1
        self.applied += 1
        return True

    def describe(self) -> dict[str, Any]:
        """The rule as JSON."""
        return {
            "fault": self.fault,
            "model": self.model,
            "key": self.key,
            "next": self.remaining,
            "probability": self.probability,
            "seed": self.seed,
            "applied": self.applied,
        }


def _parse_fault(text: str) -> Fault:
    try:
        return Fault.parse(text)
    except ValueError as error:
        raise ApiError(400, str(error), param="fault", code="invalid_value") from None


@dataclass(slots=True)
class FaultRules:
    """The rules in force; the first that draws a request has it."""

    rules: list[FaultRule] = field(default_factory=list)

    def replace(self, payload: object) -> None:
        """Put a rule, or a list of them, in place of all others. Raises ApiError 400."""
        rows = payload if isinstance(payload, list) else [payload]
        self.rules = [FaultRule.parse(row) for row in rows]

    def draw(self, model: str, key: int | None = None) -> Fault | None:
        """The fault for the next request of a model with one of the provider's keys."""
        for rule in self.rules:
            if rule.draw(model, key):
                return rule.kind
        return None

    def describe(self) -> list[dict[str, Any]]:
        """The rules as JSON."""
        return [rule.describe() for rule in self.rules]
