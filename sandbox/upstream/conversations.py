"""What `/v1/responses` stored: whole conversations by response, and items by their own id."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

Item = dict[str, Any]

# The oldest is forgotten.
MAX_RESPONSES = 1_000


@dataclass(slots=True)
class Conversations:
    """The newest responses with everything that was said up to their end."""

    _items: OrderedDict[str, list[Item]] = field(default_factory=OrderedDict)
    _by_id: dict[str, Item] = field(default_factory=dict)

    def store(self, response_id: str, items: list[Item], output: list[Item]) -> None:
        """Keep a response: what led to it, and what it answered."""
        self._items[response_id] = [*items, *output]
        self._by_id.update({item["id"]: item for item in output})
        if len(self._items) > MAX_RESPONSES:
            _, forgotten = self._items.popitem(last=False)
            for item in forgotten:
                self._by_id.pop(str(item.get("id")), None)

    def find_items(self, response_id: str) -> list[Item] | None:
        """The conversation up to the end of a response."""
        return self._items.get(response_id)

    def find_item(self, item_id: str) -> Item | None:
        """An item of a stored response's output."""
        return self._by_id.get(item_id)
