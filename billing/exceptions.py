"""What billing refuses, and why. Nothing here knows of HTTP.

BillingError
├── WalletError
│   ├── WalletRecovering      Redis is away or not rebuilt yet; nothing was held or charged
│   │   └── UnsafeRedis       the server could lose or drop money; it is not used
│   ├── WalletBacklogged      too many decided debits wait to be booked; nothing new is admitted
│   ├── WalletStale           the caller's copy of the key or wallet is older than Redis'
│   ├── WalletMissing         this wallet is not loaded into Redis; load it and try again
│   ├── MemberUncounted       Redis does not count yet what this member spent; count, try again
│   ├── WalletFrozen          a person, a dispute or a fraud warning froze it
│   ├── WalletInDebt          a refund or dispute took back more than was left
│   ├── InsufficientCredits   the worst case of this request is not covered
│   ├── CapReached            a cap of the key or its member, in all or this month, is too low
│   ├── RateLimited           too many requests or tokens in this minute, or requests at once
│   ├── RequestTooLarge       more tokens than a whole minute allows
│   └── UnknownHold           nothing is held under this request id
├── PackUnavailable           no such pack is on sale
│   ├── CurrencyUnproven      nobody knows yet how Stripe reads amounts of its currency
│   ├── AmountRefused         an amount of the customer's choice that is not sold
│   └── OfferChanged          a price buys something else than the page said
├── TooManyOrders             this user or network started too many orders and paid none
├── TooManyCards              this user or network tried too many cards
├── OrderMissing              no order of ours belongs to this payment
├── OrderMismatch             Stripe's account of a payment differs from the order
├── DocumentMissing           an order has no such receipt or invoice, or Stripe does not show it
├── TooManyQuestions          this person had us ask Stripe too often
├── RefundRefused             a refund that can't be given, or not now
├── PaymentProviderError      Stripe did not answer: what we asked for may have happened or not
│   ├── PaymentProviderAway       no answer at all, so other calls would fail, too
│   ├── PaymentStateMoving        a payment's state changed each time it was read; try later
│   └── PaymentProviderRefusal    Stripe refused what we asked for: it did not happen
│       ├── PaymentAccessRefused  our key or account may not do this; asking is not at fault
│       └── PaymentObjectMissing  Stripe has no object with this id
├── WebhookRefused            a webhook that must be ignored
│   ├── WebhookUnsigned       not signed by Stripe, or not recently
│   └── WebhookMalformed      signed, but not an event for this site
├── TopUpRefused              automatic top-up can't be set up like that
├── LeavingRefused            the account can't be deleted now
├── SignedOut                 the password was changed while this was asked for
├── TooManyKeys               this user has as many usable API keys as there may be
├── KeyNotUsable              the API key is revoked or has expired
├── RotationUnderWay          the key's secret before the present one still works
├── CodeError
│   ├── CodeUnknown           no such code was ever made
│   ├── CodeUsed              it was redeemed, or this customer had another of its batch
│   ├── CodeExpired           it was not redeemed in time
│   ├── CodeRevoked           staff withdrew its batch
│   └── TooManyGuesses        too many wrong codes were tried
├── BatchExists               a batch of codes was made by the same press of the button
├── MissingReason             a correction or a resolution without a reason
├── UnbookableEvent           what Redis decided does not fit the books; a person decides
├── UnknownReference          a text that is no reference of the expected form
├── WebhookUnfit              a customer's webhook that can't be made or changed like that
├── SubscriptionsFull         as many addresses follow the status as we mail to
├── PriceNotPlanned           a price that can't be planned for then, or can't be cancelled any more
└── InvalidAmount             an amount that can't be posted
"""

from dataclasses import dataclass
from enum import Enum

from common.exceptions import DomainError
from common.rates import RateState


class BillingError(DomainError):
    """Anything that billing refuses."""


class WalletError(BillingError):
    """A wallet refused a call. Nothing was changed."""


class WalletRecovering(WalletError):
    """Redis is away, or its wallets have not been rebuilt since it restarted."""


class UnsafeRedis(WalletRecovering):
    """The server would drop keys when full, or keeps no append-only file."""


class WalletBacklogged(WalletError):
    """The drain is too far behind for new requests to be admitted."""


class WalletStale(WalletError):
    """The caller knows an older version of the wallet or its keys than Redis does."""


class WalletMissing(WalletError):
    """This wallet is not loaded into Redis, or not since Redis was lost: PostgreSQL has it."""


class MemberUncounted(WalletError):
    """The member has a cap, and Redis has not added up yet what their keys spent."""


class WalletFrozen(WalletError):
    """A person, a dispute or a fraud warning froze the wallet."""


class WalletInDebt(WalletError):
    """A refund or dispute took back more than was left; the next credit pays that first."""


@dataclass
class InsufficientCredits(WalletError):
    """The worst case of this request is not covered by what is available."""

    available_credits: int


@dataclass
class CapReached(WalletError):
    """The worst case of this request is above what is left of a cap of its key or its member."""

    is_members: bool
    is_monthly: bool
    cap_credits: int
    left_credits: int


class Limited(Enum):
    """What exceeded its limit. The value is the customer's word for it."""

    REQUESTS = "requests per minute"
    TOKENS = "tokens per minute"
    CONCURRENT = "requests at once"
    WAITING = "requests that wait for another's answer"


@dataclass
class RateLimited(WalletError):
    """Too many requests or tokens in this minute, or requests at once, for a key or a wallet."""

    what: Limited
    is_wallets: bool
    limit: int
    retry_after_ms: int
    rate: RateState


@dataclass
class RequestTooLarge(WalletError):
    """A request of more tokens than a whole minute allows: waiting would not help."""

    tokens_per_minute: int
    tokens: int


class UnknownHold(WalletError):
    """Nothing is held under this request id, or it was settled too long ago to be known."""


class PackUnavailable(BillingError):
    """No pack with this slug is on sale."""


class CurrencyUnproven(PackUnavailable):
    """Nobody knows yet how Stripe reads amounts of this pack's or price's currency."""


class AmountRefused(PackUnavailable):
    """An amount of the customer's choice that is not sold; the text says why, for the customer."""


class OfferChanged(PackUnavailable):
    """A pack or an amount buys something else by now than the page said that was posted."""


class TooManyOrders(BillingError):
    """This user, or this network, started too many orders within an hour and paid none."""


class TooManyCards(BillingError):
    """This user, or this network, tried too many cards within an hour."""


class OrderMissing(BillingError):
    """No order of ours belongs to this payment."""


class OrderMismatch(BillingError):
    """What Stripe says of a payment differs from the order's snapshot."""


class DocumentMissing(BillingError):
    """This order has no such receipt or invoice, or Stripe does not show it any more."""


class TooManyQuestions(BillingError):
    """This person had us ask Stripe too often within an hour, by clicks and pages that poll."""


class RefundRefused(BillingError):
    """A refund that can't be given, or not now. The message tells the person who asked why."""


class PaymentProviderError(BillingError):
    """Stripe did not answer in time, or can't answer now. What was asked for may have happened."""


class PaymentProviderAway(PaymentProviderError):
    """Stripe can't be reached, or asks us to slow down: other calls would fail, too."""


class PaymentStateMoving(PaymentProviderError):
    """A payment's state changed each time it was read. Try again later."""


class PaymentProviderRefusal(PaymentProviderError):
    """Stripe refused what was asked for, so it did not happen; asking again won't help.

    `code` and `param` are Stripe's: what is wrong, and the parameter it is wrong with.
    """

    def __init__(self, text: str, *, code: str = "", param: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.param = param


class PaymentAccessRefused(PaymentProviderRefusal):
    """Our key is wrong or may not do this. What was asked for is not at fault."""


class PaymentObjectMissing(PaymentProviderRefusal):
    """Stripe has no object with this id, in this account and mode."""


class TopUpRefused(BillingError):
    """Automatic top-up can't be set up like that; the text says why, for the customer."""


class ExportRefused(BillingError):
    """An export can't be started; the text says why, for staff."""


class WebhookRefused(BillingError):
    """A webhook that must be ignored. Nothing was stored."""


class WebhookUnsigned(WebhookRefused):
    """The signature is missing or wrong, or was made too long ago or in the future."""


class WebhookMalformed(WebhookRefused):
    """The signature is right, but the body is not an event for this site."""


class TooManyKeys(BillingError):
    """This user has as many usable API keys as there may be."""


class LeavingRefused(BillingError):
    """The account can't be deleted now."""


class SignedOut(BillingError):
    """The password was changed while this was asked for."""


class KeyNotUsable(BillingError):
    """The API key is revoked or has expired."""


class RotationUnderWay(BillingError):
    """The secret before the present one still works; a key has at most two at once."""


class CodeError(BillingError):
    """A code that can't be redeemed. Nothing was changed."""


class CodeUnknown(CodeError):
    """No such code was ever made."""


class CodeUsed(CodeError):
    """It was redeemed, or the customer has redeemed another one of its batch."""


class CodeExpired(CodeError):
    """It was not redeemed in time."""


class CodeRevoked(CodeError):
    """Staff withdrew its batch."""


class TooManyGuesses(CodeError):
    """This customer or network tried too many codes within an hour."""


class BatchExists(BillingError):
    """A batch of codes was made by the same press of the button; they can't be shown again."""


class ApprovalRefused(BillingError):
    """A deed that can't be approved, refused or withdrawn. The message tells staff why."""


class MissingReason(BillingError):
    """A correction or a resolution without a reason, which the record needs."""


class UnbookableEvent(BillingError):
    """A decided debit that PostgreSQL has no wallet, row or lot for."""


class UnknownReference(BillingError):
    """A text that is no reference of the expected form."""


class InvalidAmount(BillingError):
    """An amount that can't be posted: zero, negative, or too large."""


class PriceNotPlanned(BillingError):
    """A price that can't start then, or that has started and can't be cancelled."""


class WebhookUnfit(BillingError):
    """A customer's webhook that can't be made or changed like that."""


class SubscriptionsFull(BillingError):
    """As many addresses are mailed of incidents as there may be."""
