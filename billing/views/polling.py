"""How often a page that waits for something asks again: often at first, then less often."""

from django.http import HttpRequest

POLLS_S = ((10, 2), (30, 5))
SLOWEST_POLL_S = 20


def poll_after_s(polls: int) -> int:
    """Return how many seconds to wait before the next poll."""
    return next((wait for most, wait in POLLS_S if polls < most), SLOWEST_POLL_S)


def read_polls(request: HttpRequest) -> int:
    """Return how often the page has polled, by its own count `n`; at most 1,000."""
    text = request.GET.get("n", "")
    return min(int(text), 1_000) if text.isascii() and text.isdigit() and len(text) < 5 else 0
