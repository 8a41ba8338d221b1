"""The roles of staff that come with the product. Each is a group, made anew by every migration.

No role may give rights, set a password, or sell: a pack of many credits for a cent would be a
grant without a limit, so packs are the owner's, who is a superuser.
"""

from dataclasses import dataclass

from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db import transaction

from accounts.desk.rights import label_of, with_models

SEES_ADDRESSES = "accounts.see_addresses"
SEES_MARGIN = "billing.view_margin"
SEES_DASHBOARDS = "billing.view_dashboard"
# A file of what is seen anyway: only the job that writes it is new, and the audit trail names it.
EXPORTS = "billing.add_export"


def views(app: str, *models: str) -> tuple[str, ...]:
    return tuple(f"{app}.view_{model}" for model in models)


# What answers a customer's question.
CUSTOMERS = (
    *views("accounts", "user", "team", "invitation", "teamevent", "apikey"),
    *views("accounts", "legaltext", "agreement"),
    *views("account", "emailaddress"),
    *views("mfa", "authenticator"),
    *views("billing", "wallet", "debit", "ledgerentry", "lot", "usagerecord", "keywriteoff"),
    *views("billing", "order", "refund", "dispute", "pack", "autotopup", "topupconsent"),
    *views("billing", "topuppayment", "stripecustomer", "codebatch", "redeemcode"),
    *views("billing", "welcomecredit", "publicmodel", "modelprice", "notice", "inboxitem"),
    *views("billing", "notificationsettings", "signin", "staffnote", "statussubscription"),
    SEES_DASHBOARDS,
    *views("billing", "amountoffer", "amountstep", "promotion"),
)
UPSTREAMS = views("proxy", "provider", "provideraccount", "providerkey", "route")


@dataclass(frozen=True, slots=True)
class Role:
    """What some of the staff are there for, and the rights that they need for it.

    An auditor's rights follow from the desk's pages, so that no new one is missing.
    """

    name: str
    purpose: str
    rights: tuple[str, ...] = ()
    sees_everything: bool = False


ROLES = (
    Role(
        "Support",
        "Answers customers: sees what they have, with masked addresses and without our costs;"
        " sends mails again, asks Stripe again, revokes keys, switches automatic top-up off.",
        (
            *CUSTOMERS,
            "accounts.revoke_apikey",
            "billing.add_staffnote",
            "billing.ask_stripe",
            "billing.change_autotopup",
            "billing.change_notice",
            "billing.change_statussubscription",
        ),
    ),
    Role(
        "Finance",
        "Refunds, grants, adjusts and makes codes, up to a limit for each deed and day; beyond it a"
        " second person approves. Sees margins.",
        (
            *CUSTOMERS,
            *views("billing", "stripeevent", "exchangerate"),
            SEES_ADDRESSES,
            SEES_MARGIN,
            "accounts.change_address",
            "billing.add_codebatch",
            "billing.add_exchangerate",
            EXPORTS,
            "billing.add_ledgerentry",
            "billing.add_staffnote",
            "billing.ask_stripe",
            *views("billing", "approval"),
            "billing.change_approval",
            "billing.change_autotopup",
            "billing.change_codebatch",
            "billing.change_exchangerate",
            "billing.change_export",
            "billing.change_inboxitem",
            "billing.change_notice",
            "billing.change_order",
        ),
    ),
    Role(
        "Operations",
        "Keeps the API running: providers, routes, models and their prices, limits and freezes, the"
        " inbox. Sees margins.",
        (
            *CUSTOMERS,
            *UPSTREAMS,
            *views("billing", "stripeevent", "exchangerate"),
            SEES_ADDRESSES,
            SEES_MARGIN,
            "accounts.change_apikey",
            "accounts.change_user",
            "accounts.revoke_apikey",
            EXPORTS,
            "billing.add_modelprice",
            "billing.add_publicmodel",
            "billing.add_staffnote",
            "billing.ask_stripe",
            "billing.change_export",
            "billing.change_inboxitem",
            "billing.change_notice",
            "billing.change_publicmodel",
            "billing.change_statussubscription",
            "billing.change_stripeevent",
            "billing.change_wallet",
            *views("proxy", "incident", "incidentupdate"),
            "proxy.add_incident",
            "proxy.change_incident",
            "proxy.add_incidentupdate",
            *(
                f"proxy.{verb}_{model}"
                for verb in ("add", "change", "delete")
                for model in ("provider", "provideraccount", "providerkey", "route")
            ),
        ),
    ),
    Role("Auditor", "Reads and exports everything, and changes nothing.", sees_everything=True),
)
BY_NAME = {role.name: role for role in ROLES}


@transaction.atomic
def make_roles() -> list[Group]:
    """Make the group of each role, with exactly its rights. Safe to repeat."""
    known = {label_of(each): each for each in with_models(Permission.objects.all())}
    made = []
    for role in ROLES:
        group, _ = Group.objects.get_or_create(name=role.name)
        # A right is missing only while not all apps have been migrated.
        group.permissions.set(known[right] for right in rights_of(role) if right in known)
        made.append(group)
    return made


def rights_of(role: Role) -> tuple[str, ...]:
    """Return a role's rights, as code names them."""
    return everything_seen() if role.sees_everything else role.rights


def everything_seen() -> tuple[str, ...]:
    """Return the rights to see and export each page of the desk, and all that is on it."""
    pages = admin.site._registry.items()
    below = (table.model for _, page in pages for table in page.inlines)
    models = {model._meta for model in (*(model for model, _ in pages), *below)}
    seen = {f"{model.app_label}.view_{model.model_name}" for model in models}
    return (*sorted(seen), SEES_ADDRESSES, SEES_MARGIN, SEES_DASHBOARDS, EXPORTS)
