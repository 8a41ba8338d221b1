"""What an operator is told of a site before it is open."""

from ipaddress import ip_network
from typing import Any

import pytest
from django.core.checks import run_checks

SMTP = "smtp+tls://user:password@mail.example.com:587"


def found() -> set[str | None]:
    return {message.id for message in run_checks()}


@pytest.mark.parametrize(
    ("is_https", "proxies", "warns"),
    [(True, [], True), (True, [ip_network("10.0.0.1")], False), (False, [], False)],
)
def test_an_https_site_without_a_trusted_proxy_is_warned_of(
    settings: Any, is_https: bool, proxies: list[Any], warns: bool
) -> None:
    settings.IS_HTTPS, settings.TRUSTED_PROXIES = is_https, proxies

    assert ("tokenproxy_site.W001" in found()) is warns


@pytest.mark.parametrize(
    ("is_https", "url", "warns"),
    [(True, "consolemail://", True), (True, SMTP, False), (False, "consolemail://", False)],
)
def test_an_https_site_whose_mails_go_to_the_log_is_warned_of(
    settings: Any, is_https: bool, url: str, warns: bool
) -> None:
    settings.IS_HTTPS, settings.EMAIL_URL = is_https, url

    assert ("tokenproxy_site.W002" in found()) is warns
