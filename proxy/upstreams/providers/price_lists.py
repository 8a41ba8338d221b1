"""Read a provider's price list, and set the purchase prices of its routes by it.

Three shapes are known: OpenRouter's `/models` (dollars for one token), LiteLLM's
`model_prices_and_context_window.json` (the same), and CSV with a header, in dollars per million
tokens: `model,prompt,cached_prompt,completion`. Only rows of models that a route leads to are
looked at; one that can't be read refuses the whole list.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db import transaction

from billing.catalogue.costs import Costs
from common.money import MILLION
from proxy.errors import BadPriceList
from proxy.models import Provider, Route

MICROS_OF_DOLLARS = {"token": Decimal(MILLION * MILLION), "million": Decimal(MILLION)}
# A million dollars for a million tokens: whoever says more has mistaken the unit.
MOST_MICROS = MILLION * MILLION
FIELDS = ("prompt_cost_micros", "cached_prompt_cost_micros", "completion_cost_micros")
CSV_COLUMNS = ("model", "prompt", "cached_prompt", "completion")
LITELLM = ("input_cost_per_token", "cache_read_input_token_cost", "output_cost_per_token")
OPENROUTER = ("prompt", "input_cache_read", "completion")

# A price as the list writes it: prompt, cached prompt, completion, and for how many tokens.
Written = tuple[Any, Any, Any, str]


@dataclass(frozen=True, slots=True)
class Change:
    """One route whose purchase price the list has, as it is and as it would be."""

    route: Route
    before: Costs
    after: Costs


@dataclass(frozen=True, slots=True)
class Import:
    """What a list would change of a provider's routes."""

    changes: list[Change]
    unchanged: int
    # Routes whose models are not in the list.
    missing: list[Route]

    @property
    def basis(self) -> list[tuple[int, Costs, Costs]]:
        """What the import does: of each route that it changes, the costs before and after."""
        return sorted((each.route.pk, each.before, each.after) for each in self.changes)


def plan_import(
    provider: Provider, text: str, *, prefix: str = "", is_locked: bool = False
) -> Import:
    """Compare a list with the routes of a provider. Changes nothing. Raises BadPriceList.

    `prefix` is what the list puts before the provider's own names, such as `azure/`. Within a
    transaction the routes can be locked, so that the plan holds until it is applied.
    """
    rows = provider.routes.select_related("model")
    return _compare(list(rows.select_for_update(of=("self",)) if is_locked else rows), text, prefix)


@transaction.atomic
def apply_import(planned: Import) -> None:
    """Set the purchase prices of a plan; all of them or none."""
    for change in planned.changes:
        costs = change.after
        change.route.prompt_cost_micros = costs.prompt_micros
        change.route.cached_prompt_cost_micros = costs.cached_prompt_micros
        change.route.completion_cost_micros = costs.completion_micros
        change.route.save(update_fields=FIELDS)


def _compare(routes: list[Route], text: str, prefix: str) -> Import:
    listed = read_list(text)
    changes, missing, unchanged = [], [], 0
    for route in routes:
        written = listed.get(prefix + route.upstream_model)
        if written is None:
            missing.append(route)
            continue
        before = Costs(*(getattr(route, name) for name in FIELDS))
        after = _read_costs(route.upstream_model, written)
        if before == after:
            unchanged += 1
        else:
            changes.append(Change(route, before, after))
    if not changes and not unchanged:
        raise BadPriceList("No model of this provider's routes is in the list.")
    return Import(changes, unchanged, missing)


def read_list(text: str) -> dict[str, Written]:
    """Return what a list says of each model, unread. Raises BadPriceList."""
    found: dict[str, Written] = {}
    rows = _read_json(text) if text.lstrip().startswith(("{", "[")) else _read_csv(text)
    for name, written in rows:
        if name in found:
            raise BadPriceList(f"“{name[:120]}” is in the list twice.")
        found[name] = written
    if not found:
        raise BadPriceList("The list has no model with a price.")
    return found


def _read_json(text: str) -> Iterator[tuple[str, Written]]:
    try:
        body = json.loads(
            text, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_refuse_twice
        )
    except (ValueError, RecursionError) as error:
        raise BadPriceList(f"It is no JSON: {error}") from error
    rows = body.get("data") if isinstance(body, dict) and "data" in body else body
    if isinstance(rows, list):
        return _of_openrouter(rows)
    if isinstance(rows, dict):
        return _of_litellm(rows)
    raise BadPriceList("It has neither OpenRouter's shape nor LiteLLM's.")


def _of_openrouter(rows: list[Any]) -> Iterator[tuple[str, Written]]:
    for row in rows:
        pricing = row.get("pricing") if isinstance(row, dict) else None
        if not isinstance(pricing, dict) or not isinstance(row.get("id"), str):
            raise BadPriceList("A model of it has no “id” or no “pricing”.")
        prompt, cached, completion = (pricing.get(name) for name in OPENROUTER)
        yield row["id"], (prompt, cached, completion, "token")


def _of_litellm(rows: Mapping[str, Any]) -> Iterator[tuple[str, Written]]:
    for name, row in rows.items():
        if not isinstance(row, dict):
            raise BadPriceList(f"“{name[:120]}” has no prices.")
        # Images, searches and the like, which have no price by the token.
        if LITELLM[0] in row:
            prompt, cached, completion = (row.get(field) for field in LITELLM)
            yield name, (prompt, cached, completion, "token")


def _read_csv(text: str) -> Iterator[tuple[str, Written]]:
    try:
        rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        if tuple(rows.fieldnames or ()) != CSV_COLUMNS:
            raise BadPriceList(f"The first line must be {','.join(CSV_COLUMNS)}.")
        for row in rows:
            if None in row or None in row.values():
                raise BadPriceList(f"Line {rows.line_num} has not {len(CSV_COLUMNS)} fields.")
            yield row["model"], (row["prompt"], row["cached_prompt"], row["completion"], "million")
    except csv.Error as error:
        raise BadPriceList(f"It is no CSV: {error}") from error


def _read_costs(name: str, written: Written) -> Costs:
    prompt, cached, completion, unit = written
    costs = Costs(*(_read_price(name, value, unit) for value in (prompt, cached, completion)))
    if costs.prompt_micros is None or costs.completion_micros is None:
        raise BadPriceList(f"“{name}” has no price for prompt or completion.")
    return costs


def _read_price(name: str, value: object, unit: str) -> int | None:
    """Return a price in millionths per million tokens; None if there is none."""
    if value in (None, ""):
        return None
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            raise InvalidOperation
        micros = Decimal(value) * MICROS_OF_DOLLARS[unit]
        is_possible = 0 <= micros <= MOST_MICROS
    except (InvalidOperation, ValueError) as error:
        raise BadPriceList(f"“{name}” has a price that is no number: {value!r}") from error
    if not is_possible:
        raise BadPriceList(f"“{name}” has an impossible price: {value}")
    return round(micros)


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no price.")


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("An object has the same key twice.")
    return found
