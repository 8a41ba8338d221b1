"""Calls that a process makes in one turn of its event loop, sent to Redis as one.

Redis decides each by itself, in order, and answers each; `lua/convoy.lua` says what it saves.
"""

from collections.abc import Sequence
from typing import Any

import hiredis

from billing.wallet.arguments import CallOfConvoy
from billing.wallet.signatures import CONVOYS

Argument = str | bytes | int
Call = Sequence[Argument]

# The function of a convoy and the fence of the shard: calls with the same go together.
Kind = tuple[Argument, Argument]

# Redis serves nobody else meanwhile: a convoy takes half a millisecond at most.
MOST = 16


def kind_of(call: Call) -> Kind | None:
    """Return which convoy a command may join; None if it is to be sent by itself."""
    if call[0] != "FCALL":
        return None
    function = CONVOYS.get(str(call[1]))
    return (function, call[3]) if function else None


def convoy(function: Argument, calls: Sequence[Call]) -> Call:
    """Return the one call that makes these."""
    keys: list[Argument] = []
    arguments: list[Argument] = []
    for _, name, n_keys, *given in calls:
        n = int(n_keys)
        keys += given[:n]
        arguments += CallOfConvoy(str(name), n, len(given) - n)
        arguments += given[n:]
    return ("FCALL", function, len(keys), *keys, *arguments)


def replies_of(reply: Any, count: int) -> Sequence[Any]:
    """Return the replies of so many calls. A refusal of the convoy is that of each of them."""
    if count == 1:
        return [reply]
    is_of_each = isinstance(reply, list) and isinstance(reply[0], list | hiredis.ReplyError)
    return reply if is_of_each else [reply] * count
