"""Plays an answer to the client: frames at the speed of the model, to the end or to a break."""

import asyncio
from dataclasses import dataclass
from enum import Enum

from sandbox.upstream.exchange import Exchange
from sandbox.upstream.tally import Record

# Bytes for the wire, the completion tokens that must be spoken before they can leave, and those
# that are delivered with them: thoughts are spoken before the first word, delivered with the last.
Frame = tuple[bytes, int, int]

# At full speed this many frames share a write; after each, a hang-up can be noticed.
FRAMES_PER_WRITE = 32
# A stalled answer hangs up by itself at last, so that nothing stays open for ever.
STALL_LIMIT_S = 900.0


class Ending(Enum):
    """How an answer ends after its last frame."""

    COMPLETE = "complete"
    CUT = "cut"
    STALL = "stall"


@dataclass(slots=True)
class Script:
    """An answer in frames."""

    frames: list[Frame]
    ending: Ending = Ending.COMPLETE
    # Reported to the client by the frame at this position, if it is reached.
    usage: dict[str, object] | None = None
    usage_position: int = 0
    is_bytewise: bool = False
    # The content-length of a JSON answer; a break may keep some of it back.
    promised_length: int = 0
    # An answer that ends properly on the wire, but not as a success.
    is_broken: bool = False
    # False for a broken JSON answer: nobody can read any of it.
    is_readable: bool = True

    def position_after(self, count: int) -> int:
        """Where a stream stands after so many of the frames that say something."""
        spoken = [position for position, frame in enumerate(self.frames) if frame[1]]
        if not spoken:
            return 1
        return spoken[min(count, len(spoken)) - 1] + 1 if count else spoken[0]

    @property
    def is_whole(self) -> bool:
        return self.ending is Ending.COMPLETE and not self.is_broken


class Player:
    """Sends one script over one exchange and keeps its record up to date."""

    def __init__(self, exchange: Exchange, record: Record, tokens_per_second: float) -> None:
        self._exchange = exchange
        self._record = record
        self._tokens_per_second = tokens_per_second
        self._waiting: list[Frame] = []
        self._frames_sent = 0
        self._tokens_spoken = 0

    async def play(self, script: Script) -> None:
        """Send all of it. Raises ClientLeft when the client hangs up."""
        began_at = asyncio.get_running_loop().time()
        try:
            await self._send_frames(script, began_at)
            await self._end(script)
        finally:
            self._note_generated(began_at)

    async def _send_frames(self, script: Script, began_at: float) -> None:
        speed = self._tokens_per_second
        clock = asyncio.get_running_loop().time
        for frame in script.frames:
            self._tokens_spoken += frame[1]
            if speed:
                wait_s = began_at + self._tokens_spoken / speed - clock()
                if wait_s > 0:
                    await self._flush(script)
                    await self._exchange.connection.pause(wait_s)
            self._waiting.append(frame)
            if len(self._waiting) == FRAMES_PER_WRITE:
                await self._flush(script)
                await asyncio.sleep(0)

    async def _end(self, script: Script) -> None:
        if script.ending is Ending.COMPLETE:
            await self._flush(script, is_last=True)
            return
        await self._flush(script)
        if script.ending is Ending.STALL:
            await self._exchange.connection.pause(STALL_LIMIT_S)
        await self._exchange.connection.close()

    async def _flush(self, script: Script, *, is_last: bool = False) -> None:
        if not self._waiting and not is_last:
            return
        frames, self._waiting = self._waiting, []
        if script.is_bytewise:
            for frame in frames:
                await self._write_bytewise(script, frame)
            frames = []
        await self._exchange.write(b"".join([frame[0] for frame in frames]), is_last=is_last)
        self._note_sent(script, frames)

    async def _write_bytewise(self, script: Script, frame: Frame) -> None:
        data = frame[0]
        for position in range(len(data)):
            await self._exchange.write(data[position : position + 1], is_last=False)
            if position == len(data) - 1:
                # At once: whoever has this byte has the frame, even if he leaves now.
                self._note_sent(script, [frame])
            # Lets the byte leave alone: the loop joins writes of one turn.
            await asyncio.sleep(0)

    def _note_sent(self, script: Script, frames: list[Frame]) -> None:
        record = self._record
        self._frames_sent += len(frames)
        record.chunks_sent = self._frames_sent
        if script.is_readable:
            record.completion_tokens_delivered += sum([frame[2] for frame in frames])
        if script.usage is not None and self._frames_sent > script.usage_position:
            record.usage_reported = script.usage

    def _note_generated(self, began_at: float) -> None:
        """What the model had made by now: of a JSON answer, as much as there was time for."""
        made = self._tokens_spoken
        if self._tokens_per_second:
            elapsed_s = asyncio.get_running_loop().time() - began_at
            made = min(made, int(elapsed_s * self._tokens_per_second))
        delivered = self._record.completion_tokens_delivered
        self._record.completion_tokens_generated = max(made, delivered)
