"""Whom a team's statements are made out to."""

from dataclasses import asdict

from babel import Locale
from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from accounts.teams.company import Details, read_details, save_details
from accounts.teams.exceptions import TeamRefused
from accounts.teams.roles import Deed
from billing.views.requests import CustomerRequest, member_only
from common.long_selects import LongSelect

# Codes of two letters that are no country: https://www.unicode.org/reports/tr35/#unicode_region_subtag
NO_COUNTRIES = {"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"}


class CompanyForm(forms.Form):
    """Names a company, where it is and its tax id. All of it may be left empty."""

    name = forms.CharField(
        label=_("Company or name"),
        required=False,
        max_length=120,
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    street = forms.CharField(
        label=_("Street and number"),
        required=False,
        max_length=120,
        widget=forms.TextInput(attrs={"autocomplete": "address-line1"}),
    )
    postal_code = forms.CharField(
        label=_("Postal code"),
        required=False,
        max_length=20,
        widget=forms.TextInput(attrs={"autocomplete": "postal-code"}),
    )
    city = forms.CharField(
        label=_("City"),
        required=False,
        max_length=80,
        widget=forms.TextInput(attrs={"autocomplete": "address-level2"}),
    )
    country = forms.ChoiceField(label=_("Country"), required=False, widget=LongSelect)
    tax_id = forms.CharField(
        label=_("Tax id"),
        required=False,
        max_length=24,
        help_text=_("Such as a VAT number, with the letters that it begins with."),
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        country = self.fields["country"]
        assert isinstance(country, forms.ChoiceField)  # noqa: S101 - tells the type checker
        country.choices = [("", "—"), *country_names()]


def country_names() -> list[tuple[str, str]]:
    """Return the countries' codes and names in the reader's language, by name."""
    names = Locale.parse(get_language() or "en", sep="-").territories
    known = [
        (code, name)
        for code, name in names.items()
        if len(code) == 2 and code.isalpha() and code not in NO_COUNTRIES
    ]
    return sorted(known, key=lambda each: each[1])


@member_only(Deed.BUY)
@require_http_methods(["GET", "HEAD", "POST"])
def company(request: CustomerRequest) -> HttpResponse:
    """Show what the team said of its company, and on POST save it."""
    form = CompanyForm(request.POST or None, initial=asdict(read_details(request.team)))
    if request.method == "POST" and form.is_valid():
        try:
            save_details(request.seat, Details(**form.cleaned_data))
        except TeamRefused as refusal:
            form.add_error("tax_id", str(refusal))
        else:
            messages.success(request, gettext("Saved."))
            return redirect("settings-company")
    status = 400 if form.errors else 200
    return render(request, "dashboard/settings/company.html", {"form": form}, status=status)
