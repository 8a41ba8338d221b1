"""Forms of our keys at providers: written, never read back. Only the hint is shown afterwards."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from proxy.parsing.origins import origin_of
from proxy.upstreams.providers.setup import enter_secret


class SecretForm(forms.ModelForm[Any]):
    """A row with a key."""

    needs_secret = True

    secret = forms.CharField(
        label="Key",
        max_length=400,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Stored encrypted. Leave empty to keep the present one.",
    )

    def has_changed(self) -> bool:
        """Count an added row as changed even if it is empty, so that validation refuses it."""
        return self.instance.pk is None or super().has_changed()

    def clean_secret(self) -> str:
        secret: str = self.cleaned_data["secret"].strip()
        if self.needs_secret and not secret and self.instance.pk is None:
            raise ValidationError("A new key needs its text.")
        if not secret.isascii() or not secret.isprintable() or " " in secret:
            raise ValidationError("A key has neither spaces nor anything beyond plain ASCII.")
        return secret

    def save(self, commit: bool = True) -> Any:
        if self.cleaned_data["secret"]:
            enter_secret(self.instance, self.cleaned_data["secret"])
        return super().save(commit)


def refuse_moved_keys(rows: Any) -> None:
    """Ask again for each key that was entered for a host other than the provider's.

    Otherwise a person who may edit the base URL could have the keys sent to their own server.
    """
    for form in rows.initial_forms:
        if form in rows.deleted_forms or not hasattr(form, "cleaned_data"):
            continue
        if not form.instance.encrypted_secret or form.cleaned_data.get("secret"):
            continue
        if not form.instance.is_for(rows.instance.base_url):
            form.add_error(
                "secret",
                f"This key was entered for {form.instance.origin}. Enter it again for"
                f" {origin_of(rows.instance.base_url)}, or delete it.",
            )
