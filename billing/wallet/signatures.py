"""What each function of the library is called with: the one table that Python and Lua share.

Python fills the tuples by name, and Lua unpacks what arrives into the same names, so neither counts
positions. `tests/billing/wallet/test_library.py` compares the two.
"""

from dataclasses import dataclass
from typing import Any

from billing.wallet import arguments as given


@dataclass(frozen=True)
class Signature:
    """The keys and arguments of one function, and the rows that may follow the arguments."""

    keys: tuple[str, ...]
    arguments: type[tuple[Any, ...]]
    rows: tuple[type[tuple[Any, ...]], ...]


def takes(
    keys: str, arguments: type[tuple[Any, ...]] = given.Nothing, *rows: type[tuple[Any, ...]]
) -> Signature:
    """Return the signature with these keys, of the names in `keys.py`."""
    return Signature(tuple(keys.split()), arguments, rows)


PLACE = takes("fence wallet_key hold_key leases api_key events drained_at", given.Place)
ENDING = "fence wallet_key hold_key leases events"
# The keys are those of the calls, of which the first is the fence.
CONVOY = takes("fence", given.Nothing, given.CallOfConvoy)

FUNCTIONS = {
    "tp_place": PLACE,
    "tp_place_many": CONVOY,
    "tp_quote": PLACE,
    "tp_count_request": takes("fence wallet_key api_key", given.CountRequest),
    "tp_count_member": takes("fence wallet_key", given.CountMember, given.KeyId, given.MonthSpent),
    "tp_extend": takes("fence hold_key leases", given.Extend),
    "tp_settle": takes(ENDING, given.Settle),
    "tp_settle_late": takes(ENDING, given.SettleLate),
    "tp_void": takes("fence wallet_key hold_key leases", given.Void),
    "tp_end_many": CONVOY,
    "tp_reap": takes(ENDING, given.Reap),
    "tp_debit": takes("fence wallet_key hold_key events", given.Debit),
    "tp_push": takes("fence wallet_key", given.Push),
    "tp_load": takes("fence loaded_upto", given.Load, given.LoadedRow, given.SpentRow),
    "tp_read": takes("fence wallet_key"),
    "tp_inquire": takes(
        "fence wallet_key api_key inquiries_of_key inquiries_of_wallet", given.Inquire
    ),
    "tp_register": takes("fence hold_key"),
    "tp_holds": takes("fence leases", given.Prefix),
    "tp_ack": takes("fence events", given.Prefix, given.EventId),
    "tp_drained": takes("fence drained_at"),
    "tp_backlog": takes("fence events drained_at"),
    "tp_epoch": takes("fence"),
    "tp_status": takes("fence"),
    "tp_close": takes("fence"),
    "tp_hand_over": takes("fence handover", given.HandOver),
    "tp_take_over": takes("fence handover", given.Attempt),
    "tp_begin": takes("fence", given.Epoch),
    "tp_restore_wallets": takes("fence", given.Rebuild, given.WalletRow),
    "tp_restore_keys": takes("fence", given.Rebuild, given.KeyRow, given.MonthRow),
    "tp_restore_holds": takes("fence leases", given.Rebuild, given.HoldRow),
    "tp_keep": takes("fence leases", given.Keep, given.RegisterRow),
    "tp_correct_event": takes("fence events hold_key", given.CorrectEvent),
    "tp_forget": takes("fence leases events", given.Forget, given.Forgotten),
    "tp_open": takes("fence", given.Epoch),
}

# Functions of which several calls about one shard may be one call of another. A server out of
# memory refuses what places holds, and goes on to end them: so there are two.
CONVOYS = {
    "tp_place": "tp_place_many",
    "tp_extend": "tp_end_many",
    "tp_settle": "tp_end_many",
    "tp_void": "tp_end_many",
}
