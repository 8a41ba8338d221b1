"""What becomes of the fields of OpenAI's specification that do not pass as they came: one table.

All other fields of an endpoint's specification pass. What is beyond the specification is in
`extras.py`. The documentation prints this table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from proxy.parsing.endpoints import ENDPOINTS

# Marks what the documentation's pages translate; nothing here knows Django.
_ = str

CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES = ENDPOINTS


class Treatment(Enum):
    """What becomes of a field."""

    REFUSED = _("refused")
    FORCED = _("forced")
    LEFT_OUT = _("left out")


@dataclass(frozen=True, slots=True)
class Row:
    """A field by its path in the body, without indices, and what becomes of it and why.

    `values` says of which values; then the field's own check enforces it. Without, the field as
    such is refused or left out.
    """

    field: str
    treatment: Treatment
    why: str
    endpoints: tuple[str, ...]
    values: str = ""


_NOT_STORED = _("Responses are not stored here: send the whole conversation in 'input'.")
_FILES = _("Uploaded files belong to an account that all customers share: send the file itself.")
_OWN_PRICE = _("What runs at the provider has a price of its own, which is not offered here.")
_HASHED = _(
    "Sent as a keyed hash of the account and the value, so that no two customers share one."
)

TREATMENTS = (
    Row(
        "background",
        Treatment.REFUSED,
        _("A response is answered in its own request."),
        (RESPONSES,),
    ),
    Row("previous_response_id", Treatment.REFUSED, _NOT_STORED, (RESPONSES,)),
    Row("conversation", Treatment.REFUSED, _NOT_STORED, (RESPONSES,)),
    Row(
        "prompt",
        Treatment.REFUSED,
        _("Stored prompts belong to an account: send the text as 'instructions' and 'input'."),
        (RESPONSES,),
    ),
    Row(
        "context_management",
        Treatment.REFUSED,
        _("What it would cost is not known beforehand."),
        (RESPONSES,),
    ),
    Row(
        "web_search_options",
        Treatment.REFUSED,
        _("A web search has a price of its own, which is not offered here."),
        (CHAT,),
    ),
    Row(
        "service_tier",
        Treatment.REFUSED,
        _("Other tiers cost more or less than the price list says."),
        (CHAT, RESPONSES),
        values=_("all but auto and default"),
    ),
    Row(
        "tools.type",
        Treatment.LEFT_OUT,
        _("Agents declare it whether they need it or not. Refused if tool_choice asks for it."),
        (RESPONSES,),
        values="web_search, web_search_preview",
    ),
    Row(
        "tools.type",
        Treatment.REFUSED,
        _OWN_PRICE,
        (CHAT, RESPONSES),
        values=_("all others but function, custom and namespace: hosted tools and mcp"),
    ),
    Row("messages.content.file.file_id", Treatment.REFUSED, _FILES, (CHAT,)),
    Row(
        "messages.audio",
        Treatment.REFUSED,
        _("Earlier audio is stored in an account that all customers share: send its transcript."),
        (CHAT,),
    ),
    Row("input.content.file_id", Treatment.REFUSED, _FILES, (RESPONSES,)),
    Row(
        "input.content.file_url",
        Treatment.REFUSED,
        _("The size of a file at a URL is not known: send the file itself."),
        (RESPONSES,),
    ),
    Row("input.output.file_id", Treatment.REFUSED, _FILES, (RESPONSES,)),
    Row(
        "input.output.file_url",
        Treatment.REFUSED,
        _("The size of a file at a URL is not known: send the file itself."),
        (RESPONSES,),
    ),
    Row(
        "input.type",
        Treatment.REFUSED,
        _("Nothing is stored here: send the item itself, and set 'store' to false."),
        (RESPONSES,),
        values=_("item_reference (code items_not_stored)"),
    ),
    Row(
        "image_url",
        Treatment.REFUSED,
        _("A provider would fetch it from its own network."),
        (CHAT, RESPONSES),
        values=_("URLs of private, local or internal hosts"),
    ),
    Row(
        "store",
        Treatment.FORCED,
        _("Always false: nothing is stored in an account that all customers share."),
        (CHAT, RESPONSES),
    ),
    Row("user", Treatment.FORCED, _HASHED, ENDPOINTS),
    Row("safety_identifier", Treatment.FORCED, _HASHED, (CHAT, RESPONSES)),
    Row("prompt_cache_key", Treatment.FORCED, _HASHED, (CHAT, RESPONSES)),
    Row(
        "stream_options.include_usage",
        Treatment.FORCED,
        _("Always true towards the provider; you get the usage if you ask for it."),
        (CHAT, COMPLETIONS),
    ),
    Row(
        "metadata",
        Treatment.LEFT_OUT,
        _("It labels what is stored, and is refused by OpenAI without."),
        (CHAT,),
        values=_("beside store: true"),
    ),
    Row("input.id", Treatment.LEFT_OUT, _("Nothing is stored under it."), (RESPONSES,)),
)


def refused(endpoint: str) -> dict[str, str]:
    """Return why each field of an endpoint is refused, by path."""
    return {
        row.field: row.why for row in _whole_fields(endpoint) if row.treatment is Treatment.REFUSED
    }


def left_out(endpoint: str) -> frozenset[str]:
    """Return the paths of an endpoint's fields that are left out without a word."""
    found = _whole_fields(endpoint)
    return frozenset(row.field for row in found if row.treatment is Treatment.LEFT_OUT)


def _whole_fields(endpoint: str) -> Iterable[Row]:
    return (row for row in TREATMENTS if endpoint in row.endpoints and not row.values)
