"""Domain errors as messages on a page: one table, as `proxy/api/error_table.py` is the API's."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib import messages
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from accounts.legal import TextsChanged
from accounts.teams import exceptions as teams
from billing import exceptions as billing
from common.exceptions import DomainError

# Braces stand for the error's own text, where that is written for whoever asked.
MESSAGES: dict[type[DomainError], str] = {
    TextsChanged: _("{} Nothing was ordered."),
    teams.TeamError: "{}",
    teams.NotAllowed: _("Your role in this team may not do this. Nothing was changed."),
    teams.NotAMember: _("This person is not in the team any more. Nothing was changed."),
    teams.TeamClosed: _("This team is closed. Nothing was changed."),
    billing.CurrencyUnproven: (
        _(
            "That pack can't be sold in this currency at the moment. Nothing was charged. Please "
            "choose another currency or pack, or write to us."
        )
    ),
    billing.AmountRefused: _("{} Nothing was ordered."),
    billing.OfferChanged: (
        _(
            "What is sold for this price has changed since you looked. Nothing was ordered. "
            "Please look again."
        )
    ),
    billing.PackUnavailable: _("That pack is no longer on sale. Nothing was charged."),
    billing.TooManyOrders: (
        _(
            "Too many orders were made within an hour, by you or from your network. "
            "Nothing was charged. Please try again later, or write to us."
        )
    ),
    billing.TooManyCards: (
        _(
            "Too many cards were tried within an hour, by you or from your network. Nothing was "
            "charged. Please try again later, or write to us."
        )
    ),
    billing.DocumentMissing: (
        _(
            "The payment service has no such document of this order. Please write to us if you"
            " need it."
        )
    ),
    billing.TooManyQuestions: (
        _("The payment service was asked too often within an hour. Please try again later.")
    ),
    billing.RefundRefused: _("Nothing was refunded: this order can't be returned here any more."),
    billing.LeavingRefused: _("The account can't be deleted now. {}"),
    billing.CodeUnknown: _("There is no such code. Please compare it with what you were given."),
    billing.CodeUsed: _(
        "This code was used already, or you have used another one of the same kind."
    ),
    billing.CodeExpired: _("This code has expired."),
    billing.CodeRevoked: _("This code is no longer valid."),
    billing.InvalidAmount: _("Your balance can't hold that many credits. Nothing was changed."),
    billing.TopUpRefused: _("Automatic top-up can't be set up like that. Nothing was changed."),
    billing.TooManyGuesses: (
        _("Too many codes were tried that don't exist. Please try again in an hour.")
    ),
    billing.OrderMissing: (
        _("The payment service knows no payment for this order. Nothing was charged.")
    ),
    billing.PaymentProviderError: (
        _("The payment service didn't answer. Nothing is lost: please try again in a moment.")
    ),
    billing.PaymentProviderRefusal: (
        _("The payment service refused this order. Nothing was charged; please write to us.")
    ),
}


@contextmanager
def as_message(request: HttpRequest) -> Iterator[None]:
    """Turn an error of the table into a message; let any other error pass."""
    try:
        yield
    except tuple(MESSAGES) as error:
        known = next(kind for kind in type(error).__mro__ if kind in MESSAGES)
        messages.error(request, gettext(MESSAGES[known]).format(error))
