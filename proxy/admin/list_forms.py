"""The form of an action that takes a list from a provider, as a file or as text."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounts.desk.actions import ReasonForm

# What a form may carry is 1 MB.
MOST_BYTES = 400_000


class ListForm(ReasonForm):
    """A list as a file or as text. A file's text comes back with the preview."""

    list_file = forms.FileField(label="File", required=False)
    text = forms.CharField(
        label="Or its text",
        required=False,
        max_length=MOST_BYTES,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 6, "class": "vLargeTextField"}),
    )
    field_order = ("list_file", "text", "name_prefix", "reason")
    shape = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["list_file"].help_text = f"{self.shape} At most 400 kB."

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if file := cleaned.get("list_file"):
            if file.size > MOST_BYTES:
                raise ValidationError("The file has more than 400 kB.")
            try:
                cleaned["text"] = file.read().decode("utf-8-sig")
            except UnicodeDecodeError as error:
                raise ValidationError("The file is no UTF-8 text.") from error
            # The page that shows the preview has the text, so that it need not be chosen again.
            self.data = {**self.data.dict(), "text": cleaned["text"]}  # type: ignore[attr-defined]
        if not cleaned.get("text"):
            raise ValidationError("Choose a file, or paste its text.")
        return cleaned
