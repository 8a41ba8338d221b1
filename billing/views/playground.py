"""A chat on one's own balance. The page's script calls the API; nothing of it is stored here."""

from django import forms
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from accounts.reauthentication import must_ask_again
from accounts.teams.exceptions import TeamError
from accounts.teams.roles import Deed
from billing.catalogue.on_sale import read_priced_models
from billing.exceptions import SignedOut, TooManyKeys
from billing.keys.playground import lend_key
from billing.views.requests import CustomerRequest, fresh_only, member_only
from common.attempts import count_attempt
from common.number_fields import WholeNumberField

MOST_KEYS_PER_HOUR = 30
DEFAULT_MAX_TOKENS = 1_024
LANGUAGES = (("curl", "curl"), ("python", "Python"), ("node", "Node"))


class NumbersForm(forms.Form):
    """The numbers of a chat. The page's script reads them; the form is never sent here."""

    temperature = forms.FloatField(
        label=_("Temperature"), required=False, min_value=0, max_value=2, step_size=0.1
    )
    max_tokens = WholeNumberField(
        label=_("Maximum tokens per answer"), required=False, initial=DEFAULT_MAX_TOKENS
    )


@member_only(Deed.MAKE_KEYS)
@fresh_only("GET", "HEAD")
@require_safe
def playground(request: CustomerRequest) -> HttpResponse:
    """Show the chat. The password is asked for as before making a key, which its script gets."""
    return render(
        request,
        "dashboard/playground.html",
        {"models": read_priced_models(), "form": NumbersForm(), "languages": LANGUAGES},
    )


@member_only(Deed.MAKE_KEYS)
@require_POST
def playground_key(request: CustomerRequest) -> JsonResponse:
    """Lend the page a key for an hour."""
    if must_ask_again(request):
        return _refusal(
            gettext("Please load this page again: your password is needed."), status=403
        )
    if count_attempt(f"playground:{request.user.pk}") > MOST_KEYS_PER_HOUR:
        return _refusal(gettext("Too many keys were asked for within an hour."), status=429)
    try:
        key, secret = lend_key(request.seat)
    except (SignedOut, TooManyKeys, TeamError) as error:
        return _refusal(str(error), status=409)
    return JsonResponse({"secret": secret, "expires_at": key.expires_at})


def _refusal(words: str, *, status: int) -> JsonResponse:
    return JsonResponse({"error": words}, status=status)
