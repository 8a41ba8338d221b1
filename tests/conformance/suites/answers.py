"""What must hold of every answer, whatever was asked."""

import json


def check_stream(text: str) -> None:
    """Every event is JSON, none is an error, and the stream ends as its endpoint's do."""
    data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    events = [json.loads(line) for line in data if line != "[DONE]"]
    ending = events[-1].get("type", "") if events else ""
    assert data[-1] == "[DONE]" or ending.startswith("response."), data[-1:]
    assert not [event for event in events if event.get("error")]
