"""A team's company, address and tax id."""

import re
from dataclasses import asdict, dataclass

from django.db import transaction

from accounts.models import Company, Membership, Team
from accounts.teams.events import Action, note
from accounts.teams.exceptions import TeamRefused
from accounts.teams.members import lock_seat
from accounts.teams.roles import Deed
from common.names import clean_name

# Countries whose VAT numbers VIES checks, by the two letters that each number begins with.
# https://europa.eu/youreurope/business/taxation/vat/check-vat-number-vies/
VAT_COUNTRIES = (
    *("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "HR", "HU", "IE"),
    *("IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK"),
)
VAT_PREFIXES = {"GR": "EL"} | {country: country for country in VAT_COUNTRIES}
VAT_NUMBER = re.compile(r"[0-9A-Z+*]{2,12}")
TAX_ID = re.compile(r"[0-9A-Z][0-9A-Z ./+*-]{2,22}[0-9A-Z*+]")


@dataclass(frozen=True, slots=True)
class Details:
    """What a team says of its company; each text may be empty."""

    name: str = ""
    street: str = ""
    postal_code: str = ""
    city: str = ""
    country: str = ""
    tax_id: str = ""


def read_details(team: Team) -> Details:
    """Return what a team said of its company."""
    found = Company.objects.filter(team=team).first()
    if found is None:
        return Details()
    return Details(**{name: getattr(found, name) for name in Details.__dataclass_fields__})


@transaction.atomic
def save_details(seat: Membership, details: Details) -> None:
    """Save what a team says of its company. Raises NotAllowed, TeamRefused. Safe to repeat."""
    seat = lock_seat(seat, Deed.BUY)
    cleaned = {name: clean_name(text) for name, text in asdict(details).items()}
    cleaned["tax_id"] = clean_tax_id(cleaned["tax_id"], cleaned["country"])
    if Details(**cleaned) == read_details(seat.team):
        return
    Company.objects.update_or_create(team=seat.team, defaults=cleaned)
    note(seat.team, Action.COMPANY_CHANGED, actor=seat.user)


def clean_tax_id(text: str, country: str) -> str:
    """Return a tax id in capitals, if its shape is possible in this country. Raises TeamRefused.

    Whether the number was given out, only the country's office knows.
    """
    tax_id = text.upper()
    if not tax_id:
        return ""
    if not TAX_ID.fullmatch(tax_id):
        raise TeamRefused("A tax id has 4 to 24 letters, digits, spaces, points or dashes.")
    prefix = VAT_PREFIXES.get(country)
    bare = re.sub(r"[ ./-]", "", tax_id)
    if prefix and bare.startswith(prefix):
        number = bare.removeprefix(prefix)
        if not VAT_NUMBER.fullmatch(number) or not any(each.isdigit() for each in number):
            raise TeamRefused(f"A VAT number looks like {prefix}123456789.")
        return bare
    return tax_id
