"""In which language Stripe's pages are shown."""

# https://docs.stripe.com/api/checkout/sessions/create#create_checkout_session-locale
LOCALES = {
    "bg", "cs", "da", "de", "el", "en", "en-GB", "es", "es-419", "et", "fi", "fil", "fr", "fr-CA",
    "hr", "hu", "id", "it", "ja", "ko", "lt", "lv", "ms", "mt", "nb", "nl", "pl", "pt", "pt-BR",
    "ro", "ru", "sk", "sl", "sv", "th", "tr", "vi", "zh", "zh-HK", "zh-TW",
}  # fmt: skip
BROWSERS = "auto"


def locale_of(language: str) -> str:
    """Return Checkout's name of a language; the browser's own choice if it has no such pages."""
    return language if language in LOCALES else BROWSERS
