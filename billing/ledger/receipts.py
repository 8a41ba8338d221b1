"""A receipt: one usage record's charge, taken apart so that a reader can add it up again."""

from dataclasses import dataclass

from billing.catalogue.model_prices import rates_of
from billing.catalogue.pricing import PricedClass, Usage, cost_credits, price_classes
from billing.models import UsageRecord

# What a customer reads for each class of tokens.
LABELS = {
    "prompt": "Prompt",
    "cached_prompt": "Cached prompt",
    "cache_write": "Prompt written to the cache",
    "prompt_audio": "Audio in the prompt",
    "prompt_image": "Images in the prompt",
    "completion": "Completion",
    "reasoning": "Reasoning",
    "completion_audio": "Audio in the answer",
}
# These are shown also when there is nothing of them.
ALWAYS = {"prompt", "completion"}


@dataclass(frozen=True, slots=True)
class ReceiptLine(PricedClass):
    """One class of tokens: how many, at which rate, and what that makes."""

    @property
    def label(self) -> str:
        """Return the class in a customer's words."""
        return LABELS[self.name]


@dataclass(frozen=True, slots=True)
class Receipt:
    """A record with the sum that led to its charge."""

    record: UsageRecord
    lines: list[ReceiptLine]
    sum_millicredits: int
    cost_credits: int

    @property
    def is_rounded(self) -> bool:
        """Tell whether the sum was rounded up to whole credits."""
        return self.sum_millicredits != self.cost_credits * 1_000

    @property
    def waived_credits(self) -> int:
        """Return what was not asked for at all: the cost beyond a parked request's hold."""
        return self.cost_credits - self.record.target_credits

    @property
    def released_credits(self) -> int:
        """Return what went back to the balance from the hold."""
        return max(0, self.record.held_credits - self.record.charged_credits)

    @property
    def duration_ms(self) -> int:
        """Return how long the request took."""
        return round((self.record.ended_at - self.record.started_at).total_seconds() * 1_000)


def explain(record: UsageRecord) -> Receipt:
    """Return the receipt of a record whose price is loaded."""
    rates = rates_of(record.price)
    usage = Usage(
        prompt_tokens=record.prompt_tokens,
        completion_tokens=record.completion_tokens,
        cached_tokens=record.cached_tokens,
        cache_write_tokens=record.cache_write_tokens,
        prompt_audio_tokens=record.prompt_audio_tokens,
        prompt_image_tokens=record.prompt_image_tokens,
        reasoning_tokens=record.reasoning_tokens,
        completion_audio_tokens=record.completion_audio_tokens,
    )
    lines = [
        ReceiptLine(part.name, part.tokens, part.rate_millicredits)
        for part in price_classes(rates, usage)
    ]
    return Receipt(
        record=record,
        lines=[line for line in lines if line.tokens or line.name in ALWAYS],
        sum_millicredits=sum(line.amount_millicredits for line in lines),
        cost_credits=cost_credits(rates, usage),
    )
