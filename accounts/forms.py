"""allauth's forms, changed for a site on which each person has one address."""

from typing import Any

from allauth.account.forms import AddEmailForm, ResetPasswordForm
from allauth.account.internal.flows.email_verification import send_verification_email_to_address
from allauth.account.models import EmailAddress
from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest

from accounts.models import User

MOST_CHARS: int = EmailAddress._meta.get_field("email").max_length or 0


class ChangeAddressForm(AddEmailForm):  # type: ignore[misc]
    """Asks for another address, which replaces the present one once it is confirmed."""

    user: User

    def clean_email(self) -> str:
        """Return an address that can be kept and is not this person's already."""
        if len(self.cleaned_data["email"]) > MOST_CHARS:
            raise forms.ValidationError(f"An address has at most {MOST_CHARS} characters.")
        return str(super().clean_email())

    def save(self, request: HttpRequest) -> EmailAddress:
        """Store the new request in place of an earlier one, and mail its link.

        allauth's own form would delete the present address if that was never confirmed.
        """
        with transaction.atomic():
            user = User.objects.select_for_update(no_key=True).get(pk=self.user.pk)
            asked_before = EmailAddress.objects.filter(user=user, verified=False)
            asked_before.exclude(email=user.email).delete()
            asked = EmailAddress.objects.create(user=user, email=self.cleaned_data["email"])
        if not send_verification_email_to_address(request, asked):
            messages.warning(
                request,
                "We mailed this address a moment ago, and that link is for the change before."
                " Send another one in three minutes.",
            )
        return asked


class ResetByAddressForm(ResetPasswordForm):  # type: ignore[misc]
    """Mails a link to a person's present address, never to one that waits to be confirmed."""

    users: list[User]

    def clean_email(self) -> Any:
        """Return the address, and keep only the users whose present address it is."""
        email = super().clean_email()
        self.users = [user for user in self.users if user.email == email.lower()]
        return email
