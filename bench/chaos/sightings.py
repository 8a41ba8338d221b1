"""What a customer saw of a request, and how it is read from an answer."""

import hashlib
import json
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp


@dataclass(slots=True)
class Seen:
    """One request as its customer saw it."""

    way: str
    model: str
    wallet_id: int
    # What became of it: complete, refused, broken, hung up, or how the connection failed.
    outcome: str = "unanswered"
    status: int | None = None
    request_id: str | None = None
    error_code: str | None = None
    charged_credits: int | None = None
    usage: dict[str, Any] | None = None
    idempotency_key: str | None = None
    # The request whose answer it was given, if it was sent again.
    replay_of: str | None = None
    # Of the answer's body.
    digest: str | None = None
    # On the monotonic clock.
    sent_at: float = field(default_factory=time.monotonic)
    ended_at: float | None = None

    @property
    def billed_id(self) -> str | None:
        """The request whose receipt this answer has."""
        return self.replay_of or self.request_id


def note_head(seen: Seen, response: aiohttp.ClientResponse) -> None:
    """Note an answer's status and headers."""
    seen.status = response.status
    seen.request_id = response.headers.get("x-request-id")
    seen.replay_of = response.headers.get("x-tokenproxy-replay-of")
    charged = response.headers.get("x-tokenproxy-credits-charged")
    seen.charged_credits = int(charged) if charged is not None else None


def note_body(seen: Seen, raw: bytes) -> None:
    """Note a whole answer, or why there is none."""
    body = json.loads(raw)
    if seen.status == 200:
        seen.outcome = "complete"
        seen.usage = in_words_of_chat(body.get("usage"))
        seen.digest = digest(raw)
    else:
        note_refusal(seen, body)


def note_refusal(seen: Seen, body: Any) -> None:
    """Note the error that an answer is."""
    seen.outcome = "refused"
    seen.error_code = str((body.get("error") or {}).get("code")) if isinstance(body, dict) else "?"


def note_event(seen: Seen, data: bytes) -> None:
    """Follow a stream: its usage, an error in it, its end."""
    if data == b"[DONE]":
        seen.outcome = "complete"
        return
    event = json.loads(data)
    response = event.get("response") or {}
    if event.get("error") or event.get("type") == "error":
        seen.outcome = "broken"
        seen.error_code = str((event.get("error") or event).get("code"))
    elif event.get("usage"):
        seen.usage = event["usage"]
    elif event.get("type") == "response.completed":
        seen.outcome = "complete"
        seen.usage = in_words_of_chat(response.get("usage"))


def in_words_of_chat(usage: Any) -> dict[str, Any] | None:
    """Return usage as chat completions have it: responses name it otherwise, embeddings have
    no completion.
    """
    if not isinstance(usage, dict):
        return None
    if "input_tokens" in usage:
        return {
            "prompt_tokens": usage["input_tokens"],
            "prompt_tokens_details": usage.get("input_tokens_details"),
            "completion_tokens": usage["output_tokens"],
        }
    return {"completion_tokens": 0, **usage}


def digest(raw: bytes) -> str:
    """Return what tells answers apart."""
    return hashlib.blake2b(raw, digest_size=8).hexdigest()
