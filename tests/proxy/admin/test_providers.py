"""Providers at the desk: addresses are checked, keys are written and never read back."""

from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import User
from common.encryption import decrypt_secret
from proxy.models import Provider, ProviderKey, Route
from tests import desk

SECRET = "sk-upstream-canary-0123456789abcdef-WXYZ"
TIMES = {
    "connect_timeout_s": "5",
    "first_byte_timeout_s": "60",
    "idle_timeout_s": "60",
    "total_timeout_s": "600",
    "probes_per_hour": "0",
}


@pytest.fixture
def root(db: None) -> Client:
    return desk.log_in(User.objects.create_superuser("root@example.com"))


def form(secret: str = SECRET, **fields: Any) -> dict[str, Any]:
    """Return a new provider with one key and one route, as the page sends it."""
    return {
        "name": "acme",
        "base_url": "https://api.example.com/v1",
        "is_active": "on",
        **TIMES,
        "keys-TOTAL_FORMS": "1",
        "keys-INITIAL_FORMS": "0",
        "keys-0-secret": secret,
        "keys-0-is_active": "on",
        "keys-0-priority": "0",
        "keys-0-weight": "1",
        "account-TOTAL_FORMS": "0",
        "account-INITIAL_FORMS": "0",
        "routes-TOTAL_FORMS": "1",
        "routes-INITIAL_FORMS": "0",
        "routes-0-model": str(desk.make_model().pk),
        "routes-0-upstream_model": "acme-large",
        "routes-0-priority": "0",
        "routes-0-weight": "1",
        "routes-0-is_active": "on",
        **fields,
    }


def change(key: ProviderKey, secret: str, **fields: Any) -> dict[str, Any]:
    """Return the page of a provider with one key and no route, sent again."""
    return form(
        secret,
        **{
            "keys-INITIAL_FORMS": "1",
            "keys-0-id": str(key.pk),
            "keys-0-provider": str(key.provider_id),
            "routes-TOTAL_FORMS": "0",
            **fields,
        },
    )


def add(browser: Client, data: dict[str, Any]) -> Any:
    return browser.post(desk.list_url(Provider) + "add/", data)


@pytest.fixture
def key(root: Client) -> ProviderKey:
    add(root, form(**{"routes-TOTAL_FORMS": "0"}))
    return ProviderKey.objects.get()


def test_a_provider_is_set_up_on_one_page(root: Client) -> None:
    add(root, form())

    key, route = ProviderKey.objects.get(), Route.objects.get()
    assert decrypt_secret(bytes(key.encrypted_secret)) == SECRET
    assert key.hint == "WXYZ"
    assert (route.model.name, route.provider.name) == ("gpt-test", "acme")


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com/v1",
        "https://127.0.0.1/v1",
        "https://10.0.0.8/v1",
        "https://169.254.169.254/latest",
        "https://user:pass@api.example.com/v1",
        "https://api.example.com/v1?key=1",
        "ftp://api.example.com/v1",
        "api",
        "",
    ],
)
def test_it_refuses_an_address_that_is_not_an_upstreams(
    url: str, root: Client, settings: Settings
) -> None:
    settings.ALLOW_LOOPBACK_PROVIDERS = False

    answer = add(root, form(base_url=url))

    assert "base_url" in answer.context["adminform"].form.errors
    assert not Provider.objects.exists()


@pytest.mark.parametrize("secret", ["", "two words", "ключ", "line\nbreak"])
def test_it_refuses_a_key_that_is_none(secret: str, root: Client) -> None:
    answer = add(root, form(secret))

    assert answer.status_code == 200
    assert not Provider.objects.exists()


def test_a_key_is_never_shown_again(root: Client, key: ProviderKey) -> None:
    page = root.get(desk.page_url(key.provider)).content.decode()
    history = root.get(desk.page_url(key.provider, "history")).content.decode()

    assert "WXYZ" in page
    assert SECRET not in page + history


def test_a_refused_page_does_not_send_the_key_back(root: Client) -> None:
    answer = add(root, form(base_url="http://api.example.com/v1"))

    assert SECRET not in answer.content.decode()


def test_an_empty_field_keeps_the_key(root: Client, key: ProviderKey) -> None:
    root.post(desk.page_url(key.provider), change(key, "", connect_timeout_s="9"))

    kept = ProviderKey.objects.get()
    assert decrypt_secret(bytes(kept.encrypted_secret)) == SECRET
    assert kept.provider.connect_timeout_s == 9


def test_a_key_is_replaced(root: Client, key: ProviderKey) -> None:
    root.post(desk.page_url(key.provider), change(key, "sk-another-0123456789-QRST"))

    replaced = ProviderKey.objects.get()
    assert decrypt_secret(bytes(replaced.encrypted_secret)) == "sk-another-0123456789-QRST"
    assert replaced.hint == "QRST"


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/v1",
        "https://api.example.com:8443/v1",
        "https://api.example.com.elsewhere.example/v1",
        "https://api.example.com./v1",
    ],
)
def test_another_host_asks_for_its_keys_again(url: str, root: Client, key: ProviderKey) -> None:
    refused = root.post(desk.page_url(key.provider), change(key, "", base_url=url))

    page = refused.content.decode()
    assert "This key was entered for https://api.example.com:443. Enter it again for" in page
    assert Provider.objects.get().base_url == "https://api.example.com/v1"

    root.post(desk.page_url(key.provider), change(key, "sk-another-0123-QRST", base_url=url))
    moved = ProviderKey.objects.get()
    assert (moved.provider.base_url, moved.hint) == (url, "QRST")
    assert moved.is_for(url)


def test_another_host_asks_for_keys_that_are_switched_off(root: Client, key: ProviderKey) -> None:
    ProviderKey.objects.update(is_active=False)
    data = change(key, "", base_url="https://elsewhere.example/v1")
    del data["keys-0-is_active"]

    assert b"This key was entered for" in root.post(desk.page_url(key.provider), data).content
    assert Provider.objects.get().base_url == "https://api.example.com/v1"


def test_a_key_may_be_deleted_as_the_host_changes(root: Client, key: ProviderKey) -> None:
    url = "https://elsewhere.example/v1"

    root.post(desk.page_url(key.provider), change(key, "", base_url=url, **{"keys-0-DELETE": "on"}))

    assert Provider.objects.get().base_url == url
    assert not ProviderKey.objects.exists()


@pytest.mark.parametrize(
    "url",
    ["https://api.example.com/v2", "https://API.example.com:443/v1", "https://api.example.com"],
)
def test_another_path_of_the_host_keeps_the_keys(url: str, root: Client, key: ProviderKey) -> None:
    root.post(desk.page_url(key.provider), change(key, "", base_url=url))

    kept = ProviderKey.objects.get()
    assert kept.provider.base_url == url
    assert kept.is_for(url)


@pytest.mark.parametrize("right", ["delete_provider", "delete_providerkey"])
def test_a_provider_goes_with_its_keys_for_who_may_delete_both(
    right: str, root: Client, key: ProviderKey
) -> None:
    url = desk.page_url(key.provider, "delete")
    clerk = desk.make_staff("clerk@example.com", "proxy.view_provider", f"proxy.{right}")

    refused = clerk.post(url, {"post": "yes"})
    page, gone = root.get(url), root.post(url, {"post": "yes"})

    assert refused.status_code == 403
    assert (page.status_code, gone.status_code) == (200, 302)
    assert not Provider.objects.exists()
    assert not ProviderKey.objects.exists()


def test_a_page_sent_without_its_keys_does_not_move_them(root: Client, key: ProviderKey) -> None:
    url = "https://elsewhere.example/v1"
    crafted = change(key, "", base_url=url, **{"keys-TOTAL_FORMS": "0", "keys-INITIAL_FORMS": "0"})

    root.post(desk.page_url(key.provider), crafted)

    assert not ProviderKey.objects.get().is_for(url)


def test_who_may_not_enter_keys_moves_no_address(key: ProviderKey) -> None:
    dave = desk.make_staff("dave@example.com", "proxy.view_provider", "proxy.change_provider")

    dave.post(
        desk.page_url(key.provider),
        change(key, "sk-of-dave-0123456789", base_url="https://elsewhere.example/v1"),
    )

    kept = ProviderKey.objects.get()
    assert kept.provider.base_url == "https://api.example.com/v1"
    assert decrypt_secret(bytes(kept.encrypted_secret)) == SECRET


def test_a_key_that_leaked_is_deleted(root: Client, key: ProviderKey) -> None:
    root.post(desk.page_url(key.provider), change(key, "", **{"keys-0-DELETE": "on"}))

    assert not ProviderKey.objects.exists()


def test_a_provider_with_routes_is_not_deleted(root: Client) -> None:
    provider = desk.make_provider()

    assert root.post(desk.page_url(provider, "delete"), {"post": "yes"}).status_code == 403
    provider.routes.all().delete()
    root.post(desk.page_url(provider, "delete"), {"post": "yes"})
    assert not Provider.objects.exists()


def test_it_counts_keys_and_routes_apart(root: Client, key: ProviderKey) -> None:
    for name in ("one", "two"):
        Route.objects.create(
            provider=key.provider, model=desk.make_model(name), upstream_model=name
        )

    [provider] = root.get(desk.list_url(Provider)).context["cl"].result_list

    assert (provider.key_count, provider.route_count) == (1, 2)
