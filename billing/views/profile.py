"""What a person says of themselves: for now, in whose time they read."""

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.models import User
from accounts.time_zones import zone_names, zone_of
from billing.views.requests import CustomerRequest, customer_only


class ProfileForm(forms.Form):
    """Choose a time zone; none leaves it to the browser."""

    time_zone = forms.ChoiceField(
        label="Time zone",
        required=False,
        help_text="Charts cut their days by it. Statements and limits go by UTC.",
    )

    def __init__(self, browser: str, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        zones = self.fields["time_zone"]
        assert isinstance(zones, forms.ChoiceField)  # noqa: S101 - tells the type checker
        zones.choices = [
            ("", f"As the browser says ({browser})"),
            *((name, name.replace("_", " ")) for name in zone_names()),
        ]


@customer_only
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: CustomerRequest) -> HttpResponse:
    """Show what is known of a person, and on POST save it."""
    chosen = request.user.time_zone
    initial = {"time_zone": chosen if chosen in zone_names() else ""}
    form = ProfileForm(str(zone_of(request)), request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        User.objects.filter(pk=request.user.pk).update(**form.cleaned_data)
        messages.success(request, "Saved.")
        return redirect("settings-profile")
    status = 400 if form.errors else 200
    return render(request, "dashboard/settings/profile.html", {"form": form}, status=status)
