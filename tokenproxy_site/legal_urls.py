"""Legal pages, and where people who found a hole in the service write to."""

from django.urls import path, register_converter

from accounts.models import LegalText
from tokenproxy_site import legal


class KindConverter:
    """The name of a legal text."""

    regex = "|".join(LegalText.Kind.values)

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(KindConverter, "legal")

urlpatterns = [
    path("legal/", legal.texts, name="legal-texts"),
    path("<legal:kind>/", legal.text, name="legal"),
    path("<legal:kind>/<int:version>/", legal.text, name="legal-version"),
    path(".well-known/security.txt", legal.security_txt, name="security-txt"),
]
