"""allauth's forms, changed for a site on which each person has one address."""

from allauth.account.forms import AddEmailForm, SignupForm
from allauth.account.internal.flows.email_verification import send_verification_email_to_address
from allauth.account.models import EmailAddress
from django.contrib import messages
from django.db import IntegrityError, transaction
from django.http import HttpRequest

from accounts.addresses import AddressTaken, lock_user
from accounts.models import User


class SignUpForm(SignupForm):  # type: ignore[misc]
    """Creates an account. The database decides who comes first with an address."""

    def save(self, request: HttpRequest) -> User:
        """Create the account, all or nothing. Raises AddressTaken."""
        try:
            with transaction.atomic():
                user: User = super().save(request)
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
                "We mailed this address a moment ago, and that link is for the change before."
                " Send another one in three minutes.",
            )
        return asked
