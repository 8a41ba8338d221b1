"""What a person says of themselves: in which language they read, and in whose time."""

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from accounts.languages import language_of
from accounts.models import User
from accounts.time_zones import zone_names, zone_of
from billing.views.requests import CustomerRequest, customer_only
from common.long_selects import LongSelect


class ProfileForm(forms.Form):
    """Choose a language and a time zone; none leaves it to the browser."""

    language = forms.ChoiceField(
        label=_("Language"), required=False, help_text=_("Of pages, mails and statements.")
    )
    time_zone = forms.ChoiceField(
        label=_("Time zone"),
        required=False,
        widget=LongSelect,
        help_text=_("Charts cut their days by it. Statements and limits go by UTC."),
    )

    def __init__(self, browser: str, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        languages, zones = self.fields["language"], self.fields["time_zone"]
        assert isinstance(languages, forms.ChoiceField)  # noqa: S101 - tells the type checker
        assert isinstance(zones, forms.ChoiceField)  # noqa: S101 - tells the type checker
        languages.choices = [("", gettext("As the browser says")), *settings.LANGUAGES]
        zones.choices = [
            ("", gettext("As the browser says ({zone})").format(zone=browser)),
            *((name, name.replace("_", " ")) for name in zone_names()),
        ]


@customer_only
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: CustomerRequest) -> HttpResponse:
    """Show what is known of a person, and on POST save it."""
    chosen = request.user.time_zone
    initial = {
        "language": request.user.language,
        "time_zone": chosen if chosen in zone_names() else "",
    }
    form = ProfileForm(str(zone_of(request)), request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        User.objects.filter(pk=request.user.pk).update(**form.cleaned_data)
        request.user.language = form.cleaned_data["language"]
        with translation.override(language_of(request)):
            messages.success(request, gettext("Saved."))
        return redirect("settings-profile")
    status = 400 if form.errors else 200
    return render(request, "dashboard/settings/profile.html", {"form": form}, status=status)
