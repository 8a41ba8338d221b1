"""Answers that a browser saves as a file."""

from django.http import HttpResponse


def as_download(content: bytes | str, *, name: str, content_type: str) -> HttpResponse:
    """Answer with a file of this name."""
    answer = HttpResponse(content, content_type=content_type)
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
