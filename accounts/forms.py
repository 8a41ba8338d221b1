"""allauth's forms, changed for a site on which each person has one address."""

from typing import Any

from allauth.account.forms import AddEmailForm, SignupForm
from allauth.account.internal.flows.email_verification import send_verification_email_to_address
from allauth.account.models import EmailAddress
from django import forms
from django.contrib import messages
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils.translation import gettext

from accounts.addresses import AddressTaken, lock_user
from accounts.languages import keep_language, language_of
from accounts.legal import (
    TextsChanged,
    check_agreement,
    keep_agreement,
    mark_of,
    texts_to_agree,
    words_of_agreement,
)
from accounts.models import Agreement, User


class SignUpForm(SignupForm):  # type: ignore[misc]
    """Creates an account. The database decides who comes first with an address.

    Where legal texts are published, whoever signs up agrees to the versions that the form showed.
    """

    data: Any
    agrees = forms.BooleanField(required=False)
    texts = forms.CharField(required=False, max_length=200, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        texts = texts_to_agree()
        if not texts:
            del self.fields["agrees"], self.fields["texts"]
            return
        self.order_fields([*(name for name in self.fields if name != "agrees"), "agrees"])
        self.fields["agrees"].label = words_of_agreement(texts)
        self.fields["texts"].initial = mark_of(texts)

    def clean(self) -> Any:
        """Refuse who does not agree, or agrees to what is not in force any more."""
        cleaned = super().clean()
        self._agreed = []
        if "agrees" in self.fields:
            try:
                self._agreed = check_agreement(
                    cleaned.get("texts", ""), agrees=cleaned.get("agrees", False)
                )
            except TextsChanged as refusal:
                self.add_error("agrees", str(refusal))
                # What is shown again is what is in force now.
                self.data = self.data.copy()
                self.data[self.add_prefix("texts")] = mark_of(texts_to_agree())
        return cleaned

    def save(self, request: HttpRequest) -> User:
        """Create the account, all or nothing. Raises AddressTaken."""
        try:
            with transaction.atomic():
                user: User = super().save(request)
                keep_language(user, language_of(request))
                keep_agreement(user, self._agreed, Agreement.Occasion.SIGN_UP)
        except IntegrityError as error:
            raise AddressTaken from error
        return user


class ChangeAddressForm(AddEmailForm):  # type: ignore[misc]
    """Asks for another address, which replaces the present one once it is confirmed."""

    user: User

    def save(self, request: HttpRequest) -> EmailAddress:
        """Store the new request in place of an earlier one, and mail its link.

        allauth's own form would delete the present address if that was never confirmed.
        """
        with transaction.atomic():
            user = lock_user(self.user)
            asked_before = EmailAddress.objects.filter(user=user, verified=False)
            asked_before.exclude(email=user.email).delete()
            asked = EmailAddress.objects.create(user=user, email=self.cleaned_data["email"])
        if not send_verification_email_to_address(request, asked):
            messages.warning(
                request,
                gettext(
                    "We mailed this address a moment ago, and that link is for the change before."
                    " Send another one in three minutes."
                ),
            )
        return asked
