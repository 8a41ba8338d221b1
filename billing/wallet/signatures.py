"""What each function of the library is called with: the one table that Python and Lua share.

Python fills the tuples by name, and Lua unpacks what arrives into the same names, so neither counts
positions. `tests/billing/wallet/test_library.py` compares the two.
"""

from dataclasses import dataclass
from typing import Any

from billing.wallet import arguments, keys


@dataclass(frozen=True)
class Signature:
    """The keys and arguments of one function, and the rows that may follow the arguments."""

    keys: type[tuple[str, ...]]
    arguments: type[tuple[Any, ...]] = arguments.Nothing
    rows: tuple[type[tuple[Any, ...]], ...] = ()


FUNCTIONS = {
    "tp_place": Signature(keys.PlaceKeys, arguments.Place),
    "tp_quote": Signature(keys.PlaceKeys, arguments.Place),
    "tp_count_request": Signature(keys.CountRequestKeys, arguments.CountRequest),
    "tp_extend": Signature(keys.ExtendKeys, arguments.Extend),
    "tp_settle": Signature(keys.EndingKeys, arguments.Settle),
    "tp_settle_late": Signature(keys.EndingKeys, arguments.SettleLate),
    "tp_void": Signature(keys.VoidKeys, arguments.Void),
    "tp_reap": Signature(keys.EndingKeys, arguments.Reap),
    "tp_debit": Signature(keys.DebitKeys, arguments.Debit),
    "tp_push": Signature(keys.WalletKeys, arguments.Push),
    "tp_read": Signature(keys.WalletKeys),
    "tp_inquire": Signature(keys.InquiryKeys, arguments.Inquire),
    "tp_register": Signature(keys.RegisterKeys),
    "tp_holds": Signature(keys.LeasesKeys, arguments.Prefix),
    "tp_ack": Signature(keys.EventsKeys, arguments.Prefix, (arguments.EventId,)),
    "tp_drained": Signature(keys.DrainedKeys),
    "tp_backlog": Signature(keys.BacklogKeys),
    "tp_status": Signature(keys.Fence),
    "tp_close": Signature(keys.Fence),
    "tp_begin": Signature(keys.Fence, arguments.Epoch),
    "tp_restore_wallets": Signature(keys.Fence, arguments.Rebuild, (arguments.WalletRow,)),
    "tp_restore_keys": Signature(
        keys.Fence, arguments.Rebuild, (arguments.KeyRow, arguments.MonthRow)
    ),
    "tp_restore_holds": Signature(keys.LeasesKeys, arguments.Rebuild, (arguments.HoldRow,)),
    "tp_keep": Signature(keys.LeasesKeys, arguments.Keep, (arguments.RegisterRow,)),
    "tp_correct_event": Signature(keys.CorrectEventKeys, arguments.CorrectEvent),
    "tp_forget": Signature(keys.ForgetKeys, arguments.Forget, (arguments.Forgotten,)),
    "tp_open": Signature(keys.Fence, arguments.Epoch),
}
