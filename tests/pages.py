"""What pages say, for tests that read them."""

import html
import re
from typing import Protocol

TAG = re.compile(r"<[^>]*>")


class Answer(Protocol):
    """What a test client returns."""

    content: bytes


def words(answer: Answer) -> str:
    """Return what a page says, without its tags."""
    return " ".join(html.unescape(TAG.sub(" ", answer.content.decode())).split())
