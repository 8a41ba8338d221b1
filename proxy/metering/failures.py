"""Find the error in an answer whose status is 200, wherever and in whichever form it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.errors import UpstreamRefused

# For an error that names no status of its own.
UNNAMED = 502


def find_failure(answer: Mapping[str, Any]) -> UpstreamRefused | None:
    """Return the error of an answer, chunk or event as a refusal; None if it has none."""
    found = answer.get("error") or answer.get("errors")
    # Why Groq stopped a stream early, in the form of groq-python's `XGroq`.
    if isinstance(groq := answer.get("x_groq"), dict):
        found = found or groq.get("error")
    if not found and answer.get("object") != "error" and answer.get("type") != "error":
        # Without choices, errors have no common form.
        status = answer.get("base_resp")
        if isinstance(status, dict) and status.get("status_code"):
            found = {"message": status.get("status_msg")}
        elif "choices" not in answer:
            found = answer.get("error_msg") or answer.get("detail")
        if not found:
            return None
    return to_failure(found or answer)


def to_failure(error: object) -> UpstreamRefused:
    """Return an error, in whatever form, as a refusal."""
    if isinstance(error, list):
        error = error[0] if error else None
    if isinstance(error, dict) and isinstance(error.get("error"), dict):
        error = error["error"]
    fields = error if isinstance(error, dict) else {"message": error}
    return UpstreamRefused(_read_status(fields), dict(fields), None)


def _read_status(fields: Mapping[str, Any]) -> int:
    for name in ("code", "status", "status_code"):
        value = fields.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
            value = int(value)
        if type(value) is int and 400 <= value <= 599:
            return value
    return UNNAMED
