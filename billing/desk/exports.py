"""Where a list of the desk is exported: a link for whoever may start it."""

from django.contrib.auth.models import AnonymousUser
from django.urls import reverse
from django.utils.http import urlencode

from accounts.desk.roles import EXPORTS
from accounts.models import User
from billing.exports.sources import find_source


def start_url(user: User | AnonymousUser, name: str, query: str) -> str:
    """Return where an export with these filters is started; nothing for who may not."""
    source = find_source(name)
    if source is None or not isinstance(user, User) or not user.has_perm(EXPORTS):
        return ""
    if not user.has_perms(source.rights_for(user)):
        return ""
    return f"{reverse('admin:billing_export_start')}?{urlencode({'table': name, 'query': query})}"
