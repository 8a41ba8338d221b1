"""Rights at the desk in words. A right is one of Django's permissions."""

from django.contrib.auth.models import Permission
from django.db.models import QuerySet

VERBS = {"view": "See", "add": "Add", "change": "Change", "delete": "Delete"}
# What a right lets staff do where that is more, or less, than its name says.
WORDS = {
    "accounts.change_apikey": "Set what API keys may do",
    "accounts.change_user": "Let people log in, or not",
    "billing.add_codebatch": "Make codes",
    "billing.add_export": "Export lists that they see",
    "billing.add_ledgerentry": "Grant, adjust and credit",
    "billing.add_modelprice": "Set prices of models",
    "billing.change_approval": "Approve what others may not do alone",
    "billing.change_autotopup": "Switch automatic top-up off",
    "billing.change_codebatch": "Revoke codes",
    "billing.change_inboxitem": "Resolve findings of the inbox",
    "billing.change_notice": "Send mails again",
    "billing.change_order": "Refund orders, and close those under review",
    "billing.change_stripeevent": "Process Stripe's events again",
    "billing.change_wallet": "Freeze and unfreeze wallets, and set their limits",
    "proxy.change_provider": "Change providers, and test them",
    "proxy.change_route": "Change routes, and test them",
}


def label_of(permission: Permission) -> str:
    """Return a right as code names it, such as billing.view_lot."""
    return f"{permission.content_type.app_label}.{permission.codename}"


def say(permission: Permission) -> str:
    """Return in words what a right lets staff do."""
    if words := WORDS.get(label_of(permission)):
        return words
    verb, _, model = permission.codename.partition("_")
    model_class = permission.content_type.model_class()
    if verb in VERBS and model == permission.content_type.model and model_class:
        return f"{VERBS[verb]} {model_class._meta.verbose_name_plural}"
    return permission.name


def with_models(permissions: QuerySet[Permission]) -> QuerySet[Permission]:
    """Read the models along that words are made of."""
    return permissions.select_related("content_type")
