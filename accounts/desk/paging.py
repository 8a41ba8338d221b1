"""Pages of lists that don't count a table of millions."""

from typing import Any

from django.core.paginator import Page, Paginator
from django.utils.functional import cached_property

# A list counts so many rows at most, and has no pages beyond.
MOST_COUNTED = 10_000


class BriefPaginator(Paginator[Any]):
    """Counts no further than MOST_COUNTED rows: a table of millions is searched, not leafed."""

    @cached_property
    def count(self) -> int:
        """Return how many rows there are, MOST_COUNTED at most."""
        rows: Any = self.object_list
        if not hasattr(rows, "order_by"):
            return len(rows)
        return int(rows.order_by().values("pk")[:MOST_COUNTED].count())

    def page(self, number: int | str) -> Page[Any]:
        """Return a page, found by its ids: what a row shows of others is read for its rows alone.

        PostgreSQL would read it for those of all earlier pages, too, and put it into order.
        """
        rows: Any = self.object_list
        if not hasattr(rows, "order_by"):
            return super().page(number)
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        ids = rows.values_list("pk", flat=True)[first : first + self.per_page] if self.count else ()
        return Page(rows.filter(pk__in=list(ids)), number, self)
