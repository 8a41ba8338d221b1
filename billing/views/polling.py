"""How often a page that waits for something asks again: eagerly at first, then patiently."""

from django.http import HttpRequest

POLLS_S = ((10, 2), (30, 5))
SLOWEST_POLL_S = 20


def poll_after_s(polls: int) -> int:
    """Return how long to wait before asking once more."""
    return next((wait for most, wait in POLLS_S if polls < most), SLOWEST_POLL_S)


def read_polls(request: HttpRequest) -> int:
    """Return how often the page has asked, by its own count `n`."""
    text = request.GET.get("n", "")
    return min(int(text), 1_000) if text.isascii() and text.isdigit() and len(text) < 5 else 0
