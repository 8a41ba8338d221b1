"""The link that is mailed to choose a new password."""

from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.urls import reverse

from accounts.models import User


def make_password_link(user: User) -> str:
    """Return a link on the site's own address, whatever Host a request named.

    It works for PASSWORD_RESET_TIMEOUT seconds, and until it was used. It is a secret: it is made
    when its mail is sent, and stored nowhere.
    """
    uid, key = user_pk_to_url_str(user), default_token_generator.make_token(user)
    path = reverse("account_reset_password_from_key", kwargs={"uidb36": uid, "key": key})
    return f"{settings.SITE_URL}{path}"
