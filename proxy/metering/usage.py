"""A request's usage, read from an upstream's figures or refused as impossible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from billing.catalogue import pricing
from proxy.errors import ImpossibleUsage

# Far beyond any model's context; keeps every product of tokens and rates within 64 bits.
MAX_COUNT = 10**9


class Source(StrEnum):
    REPORTED = "reported"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True)
class Usage(pricing.Usage):
    """Tokens by class, and who counted them."""

    source: Source = Source.REPORTED

    def as_openai(self) -> dict[str, object]:
        """Return it as OpenAI's `CompletionUsage`."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.total_tokens,
            "prompt_tokens_details": {
                "cached_tokens": self.cached_tokens,
                "audio_tokens": self.prompt_audio_tokens,
            },
            "completion_tokens_details": {
                "reasoning_tokens": self.reasoning_tokens,
                "audio_tokens": self.completion_audio_tokens,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }

    def as_response_usage(self) -> dict[str, object]:
        """Return it as OpenAI's `ResponseUsage`."""
        return {
            "input_tokens": self.prompt_tokens,
            "input_tokens_details": {
                "cached_tokens": self.cached_tokens,
                "cache_write_tokens": self.cache_write_tokens,
            },
            "output_tokens": self.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": self.reasoning_tokens},
            "total_tokens": self.total_tokens,
        }


# The names of each figure, where it stands alone and where it is a detail of another one. Where
# several are there, the largest counts.
_P, _I = "prompt_tokens_details", "input_tokens_details"
_C, _O = "completion_tokens_details", "output_tokens_details"
_PROMPT = ("prompt_tokens", "input_tokens", "promptTokenCount")
_COMPLETION = ("completion_tokens", "output_tokens", "candidatesTokenCount")
_TOTAL = ("total_tokens", "totalTokenCount")
_NAMES: dict[str, tuple[str, ...]] = {
    "cached": (
        f"{_P}.cached_tokens",
        f"{_I}.cached_tokens",
        # Mistral writes this one, too.
        "prompt_token_details.cached_tokens",
        # Moonshot, DeepSeek, Mistral, Anthropic, Gemini.
        "cached_tokens",
        "prompt_cache_hit_tokens",
        "num_cached_tokens",
        "cache_read_input_tokens",
        "cachedContentTokenCount",
    ),
    "written": (
        f"{_P}.cache_write_tokens",
        f"{_I}.cache_write_tokens",
        f"{_P}.cache_creation_tokens",
        "cache_creation_input_tokens",
    ),
    "prompt_audio": (f"{_P}.audio_tokens", f"{_I}.audio_tokens"),
    "prompt_image": (f"{_P}.image_tokens", f"{_I}.image_tokens"),
    "reasoning": (
        f"{_C}.reasoning_tokens",
        f"{_O}.reasoning_tokens",
        "reasoning_tokens",
        "thoughtsTokenCount",
    ),
    "completion_audio": (f"{_C}.audio_tokens", f"{_O}.audio_tokens"),
    # Gemini's: what its own tools put into the prompt.
    "tools": ("toolUsePromptTokenCount",),
}
# With the name by which each is found at the top: few are there at once.
_PATHS = {
    kind: [(path.partition(".")[0], path) for path in paths] for kind, paths in _NAMES.items()
}
# What may be counted beside prompt and completion, in the order in which it is tried.
_BESIDE: tuple[tuple[str, ...], ...] = (
    (),
    ("reasoning",),
    ("cache",),
    ("cache", "reasoning"),
    ("tools",),
    ("tools", "reasoning"),
)
# The names whose owners count beside wherever they write no total.
_ALWAYS_BESIDE = {
    "reasoning": ("thoughtsTokenCount",),
    "tools": ("toolUsePromptTokenCount",),
}
_ANTHROPICS_CACHE = ("cache_read_input_tokens", "cache_creation_input_tokens")


def write_figures(
    usage: Usage, reported: object, extras: frozenset[str] = frozenset()
) -> dict[str, object]:
    """Return a completion's usage as charged, and what else of the report passes.

    That is the fate of predicted tokens, and fields that staff let pass.
    """
    figures = usage.as_openai()
    if not isinstance(reported, dict):
        return figures
    figures |= {name: reported[name] for name in extras if name in reported}
    details, given = figures["completion_tokens_details"], reported.get(_C)
    if isinstance(details, dict) and isinstance(given, dict):
        for name in ("accepted_prediction_tokens", "rejected_prediction_tokens"):
            value = given.get(name)
            if type(value) is int and 0 <= value <= usage.completion_tokens:
                details[name] = value
    return figures


def check_usage(raw: object, *, max_completion_tokens: int | None) -> Usage:
    """Read an upstream's figures, in any dialect. Raises ImpossibleUsage.

    `max_completion_tokens` is for all choices together; None where there was no maximum.
    An explicit zero counts as reported; a detail that is absent or null is zero.
    """
    figures = _Figures(raw)
    usage = _add_up(figures, is_written=max_completion_tokens != 0)
    if usage.cached_tokens + usage.cache_write_tokens > usage.prompt_tokens:
        raise ImpossibleUsage("cached and cache-write tokens exceed the prompt", raw)
    for part, parent in _PARTS:
        if getattr(usage, part) > getattr(usage, parent):
            raise ImpossibleUsage(f"{part} exceeds {parent}", raw)
    if max_completion_tokens is not None and usage.completion_tokens > max_completion_tokens:
        raise ImpossibleUsage(
            f"completion_tokens is {usage.completion_tokens}, "
            f"above the maximum of {max_completion_tokens}",
            raw,
        )
    return usage


_PARTS = (
    ("cached_tokens", "prompt_tokens"),
    ("prompt_audio_tokens", "prompt_tokens"),
    ("prompt_image_tokens", "prompt_tokens"),
    ("reasoning_tokens", "completion_tokens"),
    ("completion_audio_tokens", "completion_tokens"),
)


def _add_up(figures: _Figures, *, is_written: bool) -> Usage:
    """Return the usage by which the total adds up. Raises ImpossibleUsage if none does.

    | the total is | as reported by | and the usage is |
    |---|---|---|
    | prompt + completion | OpenAI and most others | as it stands |
    | prompt + completion + reasoning | xAI, Gemini's own | reasoning is beside the completion |
    | prompt + completion + cached + written | gateways before Anthropic | the cache is beside |
    | with what tools put into the prompt | Gemini's own | that is prompt, too |
    | more, and no reasoning is told | Gemini through OpenAI's shape | the rest is reasoning |
    | not there | Anthropic's and Gemini's own | by whose names they are |

    A completion that is not there is nothing where the total tells of something else: Gemini leaves
    it out if all that it wrote are thoughts. `tests/proxy/corpus/rows.py` has the source of each.
    """
    prompt, completion = figures.required(_PROMPT), figures.optional(_COMPLETION)
    total = figures.optional(_TOTAL)
    if is_written and not figures.has(_COMPLETION) and total <= prompt:
        raise ImpossibleUsage("completion_tokens is missing", figures.raw)
    part = {kind: figures.largest(kind) for kind in _NAMES}
    size = part | {"cache": part["cached"] + part["written"]}
    beside = _find_beside(figures, size, rest=total - prompt - completion if total else None)
    if beside is None:
        if size["reasoning"] or not is_written or total < prompt + completion:
            raise ImpossibleUsage(f"total_tokens is {total}, which does not add up", figures.raw)
        part["reasoning"] = total - prompt - completion
        beside = ("reasoning",)
    return Usage(
        prompt_tokens=prompt + sum(size[kind] for kind in beside if kind != "reasoning"),
        completion_tokens=completion + ("reasoning" in beside) * part["reasoning"],
        cached_tokens=part["cached"],
        cache_write_tokens=part["written"],
        prompt_audio_tokens=part["prompt_audio"],
        prompt_image_tokens=part["prompt_image"],
        reasoning_tokens=part["reasoning"],
        completion_audio_tokens=part["completion_audio"],
    )


def _find_beside(
    figures: _Figures, size: Mapping[str, int], *, rest: int | None
) -> tuple[str, ...] | None:
    """Return what is counted beside; `rest` is what the total has beyond. None if nothing fits."""
    if rest is not None:
        return next(
            (
                kinds
                for kinds in _BESIDE
                if sum(size[kind] for kind in kinds) == rest and all(size[kind] for kind in kinds)
            ),
            None,
        )
    beside = [kind for kind, names in _ALWAYS_BESIDE.items() if figures.has(names)]
    if figures.has(_ANTHROPICS_CACHE) and figures.has(("input_tokens",)):
        beside.append("cache")
    return tuple(beside)


def has_figures(raw: object) -> bool:
    """Tell whether an upstream reported anything. What is not an object can't be true, but is."""
    if not isinstance(raw, dict):
        return bool(raw)
    return any(raw.get(name) is not None for name in (*_PROMPT, *_COMPLETION, *_TOTAL))


def is_lesser(raw: object, earlier: object) -> bool:
    """Tell whether later figures lack or have zero where earlier ones have a count."""
    if not isinstance(raw, dict) or not isinstance(earlier, dict):
        return not isinstance(raw, dict)
    return any(
        any(earlier.get(name) for name in names) and not any(raw.get(name) for name in names)
        for names in (_PROMPT, _COMPLETION)
    )


class _Figures:
    """Reads the figures of one usage object, which its errors quote."""

    def __init__(self, raw: object) -> None:
        self.raw = raw
        self._values = self._as_object(raw, "usage")

    def has(self, names: tuple[str, ...]) -> bool:
        return any(self._values.get(name) is not None for name in names)

    def required(self, names: tuple[str, ...]) -> int:
        if not self.has(names):
            raise ImpossibleUsage(f"{names[0]} is missing", self.raw)
        return self.optional(names)

    def optional(self, names: tuple[str, ...]) -> int:
        """Read the first of these that is there; 0 if none is."""
        for name in names:
            if (value := self._values.get(name)) is not None:
                return self._count(value, name)
        return 0

    def largest(self, kind: str) -> int:
        """Read a part of another figure, under any of its names."""
        return max([self._find(path) for top, path in _PATHS[kind] if top in self._values] or [0])

    def _find(self, path: str) -> int:
        outer, _, inner = path.rpartition(".")
        holder = self._values
        if outer:
            if self._values.get(outer) is None:
                return 0
            holder = self._as_object(self._values[outer], outer)
        value = holder.get(inner)
        return 0 if value is None else self._count(value, path)

    def _count(self, value: object, name: str) -> int:
        # Not isinstance: `true` is no count, and neither is "12". Some write whole numbers as 12.0.
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int:
            raise ImpossibleUsage(f"{name} is not an integer", self.raw)
        if not 0 <= value <= MAX_COUNT:
            raise ImpossibleUsage(f"{name} is {value}", self.raw)
        return value

    def _as_object(self, value: object, name: str) -> Mapping[str, object]:
        if not isinstance(value, dict):
            raise ImpossibleUsage(f"{name} is not an object", self.raw)
        return value
