import pytest
from pytest_django import Settings

from billing.stripe_api.checks import check_stripe_address


@pytest.mark.parametrize(
    ("base", "is_live", "found"),
    [
        ("", True, []),
        ("", False, []),
        ("https://api.stripe.com", True, []),
        ("http://127.0.0.1:12111", False, []),
        ("https://stripe.example.com", False, []),
        ("http://127.0.0.1:12111", True, ["billing.E001"]),
        ("https://stripe.example.com", True, ["billing.E001"]),
        ("http://stripe.example.com", False, ["billing.E002"]),
    ],
)
def test_the_key_goes_to_stripe_or_to_this_machine_alone(
    settings: Settings, base: str, is_live: bool, found: list[str]
) -> None:
    settings.STRIPE_API_BASE = base
    settings.STRIPE_LIVE_MODE = is_live

    assert [message.id for message in check_stripe_address(None)] == found
