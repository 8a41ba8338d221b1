"""Who of the staff may do what at the desk: one table of data, and the deeds that it makes.

Letters: Support, Finance, Operations, Auditor. Beside them stands Nobody, a member of staff in no
role, who may do nothing. What has no row here fails in `accounts/admin/test_roles.py`.
"""

from django.contrib.auth.models import Group
from django.test import Client

from accounts.desk.roles import ROLES
from accounts.models import User
from accounts.teams.members import own_team
from tests import desk

EVERY = "SFOA"
# Of each page, who may see, add, change and delete.
PAGES = {
    "account.emailaddress": (EVERY, "", "", ""),
    "accounts.auditline": ("A", "", "", ""),
    "accounts.agreement": (EVERY, "", "", ""),
    "accounts.legaltext": (EVERY, "", "", ""),
    "accounts.apikey": (EVERY, "", "", ""),
    "accounts.invitation": (EVERY, "", "", ""),
    "accounts.team": (EVERY, "", "", ""),
    "accounts.teamevent": (EVERY, "", "", ""),
    "accounts.user": (EVERY, "", "O", ""),
    "admin.logentry": ("A", "", "", ""),
    "auth.group": ("A", "", "", ""),
    "billing.amountoffer": (EVERY, "", "", ""),
    "billing.approval": ("FA", "", "", ""),
    "billing.autotopup": (EVERY, "", "", ""),
    "billing.codebatch": (EVERY, "F", "", ""),
    "billing.debit": (EVERY, "", "", ""),
    "billing.dispute": (EVERY, "", "", ""),
    "billing.exchangerate": ("FOA", "F", "F", ""),
    "billing.export": ("FOA", "", "", ""),
    "billing.inboxitem": (EVERY, "", "", ""),
    "billing.keywriteoff": (EVERY, "", "", ""),
    "billing.ledgerentry": (EVERY, "", "", ""),
    "billing.lot": (EVERY, "", "", ""),
    "billing.modelprice": (EVERY, "", "", ""),
    "billing.notice": (EVERY, "", "", ""),
    "billing.notificationsettings": (EVERY, "", "", ""),
    "billing.order": (EVERY, "", "", ""),
    "billing.pack": (EVERY, "", "", ""),
    "billing.promotion": (EVERY, "", "", ""),
    "billing.publicmodel": (EVERY, "O", "O", ""),
    "billing.redeemcode": (EVERY, "", "", ""),
    "billing.refund": (EVERY, "", "", ""),
    "billing.signin": (EVERY, "", "", ""),
    "billing.staffnote": (EVERY, "", "", ""),
    "billing.statussubscription": (EVERY, "", "", ""),
    "billing.stripecustomer": (EVERY, "", "", ""),
    "billing.stripeevent": ("FOA", "", "", ""),
    "billing.topupconsent": (EVERY, "", "", ""),
    "billing.topuppayment": (EVERY, "", "", ""),
    "billing.usagerecord": (EVERY, "", "", ""),
    "billing.wallet": (EVERY, "", "", ""),
    "billing.welcomecredit": (EVERY, "", "", ""),
    "mfa.authenticator": (EVERY, "", "", ""),
    "proxy.incident": ("OA", "O", "O", ""),
    "proxy.provider": ("OA", "O", "O", "O"),
    "proxy.providerkey": ("OA", "", "", ""),
    "proxy.route": ("OA", "O", "O", "O"),
}
ACTIONS = {
    "accounts.legaltext publish": "",
    "accounts.apikey limit": "O",
    "accounts.apikey revoke": "SO",
    "billing.approval approve": "F",
    "billing.approval refuse": "F",
    "billing.approval withdraw": "F",
    "billing.autotopup switch-off": "SF",
    "billing.codebatch revoke": "F",
    "billing.export stop": "FO",
    "billing.inboxitem end-hold": "FO",
    "billing.inboxitem let-go": "FO",
    "billing.inboxitem resolve": "FO",
    "billing.inboxitem take": "FO",
    "billing.modelprice cancel": "O",
    "billing.notice send-again": "SFO",
    "billing.order ask-stripe": "SFO",
    "billing.order close": "F",
    "billing.order credit": "F",
    "billing.order refund": "F",
    "billing.order refund-unused": "F",
    "billing.promotion end": "",
    "billing.promotion hide": "",
    "billing.promotion show": "",
    "billing.publicmodel set-price": "O",
    "billing.statussubscription end": "SO",
    "billing.stripeevent process-again": "O",
    "billing.wallet adjust": "F",
    "billing.wallet change-address": "F",
    "billing.wallet delete-account": "",
    "billing.wallet freeze": "O",
    "billing.wallet grant": "F",
    "billing.wallet limit": "O",
    "billing.wallet look": EVERY,
    "billing.wallet note": "SFO",
    "billing.wallet sign-out": "O",
    "billing.wallet unfreeze": "O",
    "proxy.provider close-circuit": "O",
    "proxy.provider ask-balance": "O",
    "proxy.provider fetch-usage": "O",
    "proxy.provider import-models": "O",
    "proxy.provider compare-usage": "O",
    "proxy.provider import-prices": "O",
    "proxy.provider pause": "O",
    "proxy.provider resume": "O",
    "proxy.provider test": "O",
    "proxy.providerkey take-back": "O",
    "proxy.route close-circuit": "O",
    "proxy.route test": "O",
}
# Addresses beside those of Django's pages and of actions, each with an address to try.
OTHERS = {
    "auth_user_password_change": ("/admin/accounts/user/1/password/", ""),
    "billing_export_start": ("/admin/billing/export/start/?table=billing.order", "FOA"),
    "billing_export_file": ("/admin/billing/export/0/file/", "FOA"),
    "billing_wallet_statements": ("/admin/billing/wallet/0/statements/", EVERY),
    "billing_wallet_statement": ("/admin/billing/wallet/0/statements/2026-01.csv", EVERY),
    "proxy_health": ("/admin/proxy/provider/health/", "OA"),
}
# Addresses of the desk that are about no page, each with an address to try and the method.
OF_THE_SITE = {
    "end-visit": ("post", "/admin/as/0/end/", EVERY),
    "margin": ("get", "/admin/margin/", "FOA"),
    "search": ("post", "/admin/search/", f"{EVERY}N"),
    "visit": ("get", "/admin/as/0/dashboard/", EVERY),
}
# What Django's own site has for everybody at the desk.
DJANGOS = {
    *("index", "login", "logout", "password_change", "password_change_done", "autocomplete"),
    *("jsi18n", "view_on_site", "app_list"),
}
STANDARD = ("changelist", "add", "change", "delete", "history", "do")
NOBODY = "Nobody"
WHO = [*(role.name for role in ROLES), NOBODY]


def hire(who: str) -> Client:
    """Return the browser of a new member of staff in this role, or in none."""
    user = User.objects.create_user(f"{who.lower()}@example.com", is_staff=True)
    own_team(user)
    if who != NOBODY:
        user.groups.add(Group.objects.get(name=who))
    return desk.log_in(user)


def is_in(who: str, letters: str) -> bool:
    return who[0] in letters


# What each right of a role, beside those to see, lets somebody gain at most. No chain of deeds
# gains more: `accounts/admin/test_gains.py` tries.
GAINS: dict[str, str] = {
    "accounts.change_address": "an account, with a second person",
    "accounts.change_apikey": "what customers can call",
    "accounts.change_user": "what customers can call",
    "accounts.revoke_apikey": "what customers can call",
    "accounts.see_addresses": "personal data",
    "billing.add_codebatch": "credits, within limits",
    "billing.add_exchangerate": "how figures read",
    "billing.add_export": "files of what is seen",
    "billing.add_ledgerentry": "credits, within limits",
    "billing.add_modelprice": "what is charged",
    "billing.add_publicmodel": "what is charged",
    "billing.add_staffnote": "words",
    "billing.ask_stripe": "what Stripe says is so",
    "billing.change_approval": "credits, with a second person",
    "billing.change_autotopup": "what customers can call",
    "billing.change_codebatch": "what customers can call",
    "billing.change_exchangerate": "how figures read",
    "billing.change_export": "files of what is seen",
    "billing.change_inboxitem": "words",
    "billing.change_notice": "mails that were written",
    "billing.change_order": "credits, within limits",
    "billing.change_publicmodel": "what is charged",
    "billing.change_statussubscription": "mails that were written",
    "billing.change_stripeevent": "what Stripe says is so",
    "billing.change_wallet": "what customers can call",
    "billing.view_dashboard": "what a customer sees",
    "billing.view_margin": "costs and margins",
    "proxy.add_incident": "words",
    "proxy.add_incidentupdate": "words",
    "proxy.add_provider": "where prompts go",
    "proxy.add_provideraccount": "what providers tell of us",
    "proxy.add_providerkey": "where prompts go",
    "proxy.add_route": "where prompts go",
    "proxy.change_incident": "words",
    "proxy.change_provider": "where prompts go",
    "proxy.change_provideraccount": "what providers tell of us",
    "proxy.change_providerkey": "where prompts go",
    "proxy.change_route": "where prompts go",
    "proxy.delete_provider": "where prompts go",
    "proxy.delete_provideraccount": "what providers tell of us",
    "proxy.delete_providerkey": "where prompts go",
    "proxy.delete_route": "where prompts go",
}
# What each role can gain by all of its rights. Nobody gains rights, a secret, a password, or alone
# an account.
GAINED = {
    "Support": {
        *("what customers can call", "words", "what Stripe says is so"),
        *("mails that were written", "what a customer sees"),
    },
    "Finance": {
        *("an account, with a second person", "personal data", "credits, within limits"),
        *("credits, with a second person", "how figures read", "words", "what Stripe says is so"),
        *("what customers can call", "mails that were written", "what a customer sees"),
        *("costs and margins", "files of what is seen"),
    },
    "Operations": {
        *("what customers can call", "personal data", "what is charged", "words"),
        *("what Stripe says is so", "mails that were written", "what a customer sees"),
        *("costs and margins", "where prompts go", "what providers tell of us"),
        "files of what is seen",
    },
    "Auditor": {
        *("personal data", "what a customer sees", "costs and margins", "files of what is seen"),
    },
}
