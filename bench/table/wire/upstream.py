"""What `upstream.c` does, where there is no compiler: python -m bench.table.wire.upstream PORT"""

import asyncio
import json
import re
import sys
import time
from itertools import count
from typing import cast

import uvloop

MODEL = re.compile(rb'"bench-(\d+)-(\d+)')
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
STREAMS = re.compile(rb'"stream" *: *true')
WANTS_USAGE = re.compile(rb'"include_usage" *: *true')
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
ANSWER = "The answer is a sentence of about sixteen tokens, no more and no less than that."
COMMON = {
    "id": "chatcmpl-bench",
    "created": 1_700_000_000,
    "model": "gpt-4o-2024-08-06",
    "system_fingerprint": "fp_bench",
}
# Streams begin together, but nobody's models speak in step.
PHASES = 16
begun = count()


class Upstream(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._read = bytearray()
        self._stream: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one by what it does, not by its class.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._stream is not None:
            self._stream.cancel()

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, mark, body = self._read.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if not mark or len(body) < (int(length[1]) if length else 0):
            return
        self._read.clear()
        self._serve(bytes(body))

    def _serve(self, body: bytes) -> None:
        prompt = len(body) // 5
        model = MODEL.search(body)
        if not STREAMS.search(body):
            self._answer(usage(prompt, 16))
        elif model is None:
            self._transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        else:
            chunks, every_s = int(model[1]), int(model[2]) / 1_000
            used = usage(prompt, chunks) if WANTS_USAGE.search(body) else None
            self._stream = asyncio.create_task(self._speak(chunks, every_s, used))

    def _answer(self, used: dict[str, int]) -> None:
        message = {"role": "assistant", "content": ANSWER, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        answer = {**COMMON, "object": "chat.completion", "choices": [choice], "usage": used}
        text = json.dumps(answer).encode()
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(text), text)
        )

    async def _speak(self, chunks: int, every_s: float, used: dict[str, int] | None) -> None:
        self._transport.write(STREAM_HEAD)
        self._send_content()
        due = time.monotonic() + every_s * (1 + next(begun) % PHASES) / PHASES
        for _ in range(chunks - 1):
            await asyncio.sleep(due - time.monotonic())
            self._send_content()
            due += every_s
        await asyncio.sleep(due - time.monotonic())
        self._send_choice({}, "stop")
        if used is not None:
            self._send_chunk({"choices": [], "usage": used})
        self._send(b"data: [DONE]\n\n")
        self._transport.write(b"0\r\n\r\n")

    def _send_content(self) -> None:
        self._send_choice({"content": f"@@{time.monotonic_ns() // 1_000:016} word"}, None)

    def _send_choice(self, delta: dict[str, str], reason: str | None) -> None:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        self._send_chunk({"choices": [choice]})

    def _send_chunk(self, part: dict[str, object]) -> None:
        chunk = {**COMMON, "object": "chat.completion.chunk", **part}
        self._send(b"data: %b\n\n" % json.dumps(chunk, separators=(",", ":")).encode())

    def _send(self, event: bytes) -> None:
        self._transport.write(b"%x\r\n%b\r\n" % (len(event), event))


def usage(prompt: int, completion: int) -> dict[str, int]:
    """What a request used, as OpenAI reports it."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


async def serve(port: int) -> None:
    """Answer until told to stop."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", port, backlog=4_096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
