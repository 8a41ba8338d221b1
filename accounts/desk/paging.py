"""Pages of lists that don't count a table of millions."""

from typing import Any

from django.core.paginator import Paginator
from django.utils.functional import cached_property

# A list counts so many rows at most, and has no pages beyond.
MOST_COUNTED = 10_000


class BriefPaginator(Paginator[Any]):
    """Counts no further than MOST_COUNTED rows: a table of millions is searched, not leafed."""

    @cached_property
    def count(self) -> int:
        """Return how many rows there are, MOST_COUNTED at most."""
        rows = self.object_list
        return rows.order_by()[:MOST_COUNTED].count() if hasattr(rows, "order_by") else len(rows)
