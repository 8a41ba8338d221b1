"""Setting up providers: what is created, what is refused."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from billing.catalogue.model_prices import set_price
from billing.models import ModelPrice, PublicModel
from common.encryption import decrypt_secret
from proxy.errors import InvalidProvider
from proxy.models import Provider, ProviderKey, Route
from proxy.upstreams.addresses import PublicResolver, check_base_url, is_allowed_address
from proxy.upstreams.catalogue import load_models
from proxy.upstreams.providers.setup import set_up_provider

pytestmark = pytest.mark.django_db

URL = "https://api.example.com/v1"
KEY = "sk-0123456789abcdef"


@pytest.fixture(autouse=True)
def no_loopback(settings: Any) -> None:
    """As a deployment has it."""
    settings.ALLOW_LOOPBACK_PROVIDERS = False


def add(*arguments: str, name: str = "acme", base_url: str = URL, key: str = KEY) -> str:
    out = StringIO()
    call_command(
        "add_provider", name, "--base-url", base_url, "--api-key", key, *arguments, stdout=out
    )
    return out.getvalue()


def test_it_creates_a_provider_with_models_routes_and_prices() -> None:
    out = add("--model", "gpt-4=acme-large", "--model", "gpt-4o", "--default-price")

    models = load_models()
    assert "created provider acme" in out
    assert set(models) == {"gpt-4", "gpt-4o"}
    assert models["gpt-4"].routes[0].upstream_model == "acme-large"
    assert models["gpt-4o"].routes[0].upstream_model == "gpt-4o"
    assert models["gpt-4"].rates.prompt_millicredits == 1_000
    assert models["gpt-4"].rates.completion_millicredits == 1_000


def test_it_knows_how_much_a_model_reads_by_its_upstreams_name_or_is_told() -> None:
    add("--model", "best=gpt-4o", "--model", "acme-large", "--default-price")
    before = load_models()
    said = add("--model", "acme-large", "--default-price", "--context-tokens", "32000")

    assert before["best"].reader.context_tokens == 128_000
    assert before["acme-large"].reader.context_tokens is None
    assert "set the context of acme-large to 32,000 tokens" in said
    assert load_models()["acme-large"].reader.context_tokens == 32_000


@pytest.mark.parametrize("tokens", ["0", "-5", "20000001"])
def test_it_refuses_a_context_that_no_model_has(tokens: str) -> None:
    with pytest.raises(CommandError):
        add("--model", "acme-large", "--context-tokens", tokens)

    assert not PublicModel.objects.exists()


def test_it_marks_models_that_are_known_to_think_first() -> None:
    add("--model", "deep=o3-2025-04-16", "--model", "gpt-4o", "--default-price")

    assert {model.name: model.is_reasoning for model in load_models().values()} == {
        "deep": True,
        "gpt-4o": False,
    }


def test_it_encrypts_the_key_and_keeps_a_hint() -> None:
    add("--model", "gpt-4")

    key = ProviderKey.objects.get()
    assert KEY.encode() not in bytes(key.encrypted_secret)
    assert decrypt_secret(bytes(key.encrypted_secret)) == KEY
    assert key.hint == "cdef"


def test_it_changes_nothing_when_it_is_repeated() -> None:
    add("--model", "gpt-4", "--default-price")

    out = add("--model", "gpt-4", "--default-price")

    assert out == "acme is set up like that already\n"
    assert (Provider.objects.count(), Route.objects.count()) == (1, 1)
    assert (ProviderKey.objects.count(), ModelPrice.objects.count()) == (1, 1)


def test_it_replaces_the_key_of_an_existing_provider() -> None:
    add("--model", "gpt-4", "--default-price")

    out = add("--model", "gpt-4", key="sk-fedcba9876543210")

    assert "replaced the API key of acme" in out
    assert load_models()["gpt-4"].routes[0].upstream.secrets == ("sk-fedcba9876543210",)


ELSEWHERE = "https://elsewhere.example/v1"


def test_another_host_gets_the_key_that_was_given_with_it_alone() -> None:
    add("--model", "gpt-4", "--default-price")
    add_another("--api-key", "sk-fedcba9876543210")

    out = add("--model", "gpt-4", base_url=ELSEWHERE)

    assert "changed the base URL of acme" in out
    assert load_models()["gpt-4"].routes[0].upstream.secrets == (KEY,)
    assert not ProviderKey.objects.get(hint="3210").is_active


def test_a_key_that_is_switched_on_again_is_not_sent_to_another_host() -> None:
    add("--model", "gpt-4", "--default-price")
    add("--model", "gpt-4", base_url=ELSEWHERE, key="sk-fedcba9876543210")

    ProviderKey.objects.update(is_active=True)

    assert load_models()["gpt-4"].routes[0].upstream.secrets == ("sk-fedcba9876543210",)


def test_a_key_is_entered_again_for_another_host() -> None:
    add("--model", "gpt-4", "--default-price")
    Provider.objects.update(base_url=ELSEWHERE)

    add_another("--api-key", KEY)

    assert ProviderKey.objects.get().is_for(ELSEWHERE)
    assert load_models()["gpt-4"].routes[0].upstream.secrets == (KEY,)


def test_it_leaves_a_price_that_staff_has_set() -> None:
    add("--model", "gpt-4", "--default-price")
    set_price(
        PublicModel.objects.get(),
        prompt_rate_millicredits=2_500,
        cached_prompt_rate_millicredits=0,
        completion_rate_millicredits=0,
    )

    add("--model", "gpt-4", "--default-price")

    assert load_models()["gpt-4"].rates.prompt_millicredits == 2_500


@pytest.mark.parametrize(
    "base_url",
    [
        "http://api.example.com/v1",
        "ftp://api.example.com/v1",
        "api.example.com/v1",
        "https://",
        "https://user:pass@api.example.com/v1",
        "https://api.example.com/v1?key=1",
        "https://api.example.com/v1#x",
        "https://10.0.0.1/v1",
        "https://192.168.1.1/v1",
        "https://169.254.169.254/latest",
        "https://[::1]/v1",
        "https://[fe80::1]/v1",
        "https://[::ffff:10.0.0.1]/v1",
        "https://127.0.0.1/v1",
        "https://localhost/v1",
        "https://metadata.google.internal/v1",
        "https://0.0.0.0/v1",
        "https://api.example.com:99999/v1",
    ],
)
def test_it_refuses_an_address_where_no_upstream_may_be(base_url: str) -> None:
    with pytest.raises(CommandError):
        add("--model", "gpt-4", base_url=base_url)

    assert not Provider.objects.exists()
    assert not PublicModel.objects.exists()


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:9000/v1", "http://localhost:9000/v1"])
def test_it_takes_this_machine_where_the_setting_allows_it(settings: Any, base_url: str) -> None:
    settings.ALLOW_LOOPBACK_PROVIDERS = True

    assert check_base_url(base_url + "/") == base_url


@pytest.mark.parametrize("model", ["", "=", "gpt-4=", "=x", "has spaces"])
def test_it_refuses_a_malformed_model_and_creates_nothing(model: str) -> None:
    with pytest.raises(CommandError):
        add("--model", "gpt-4o", "--model", model)

    assert not Provider.objects.exists()


@pytest.mark.parametrize("key", ["", "has space", "line\nbreak", "ключ"])
def test_it_refuses_a_key_that_no_header_can_carry(key: str) -> None:
    with pytest.raises(InvalidProvider):
        set_up_provider("acme", base_url=URL, secret=key, models={"gpt-4": "gpt-4"})


@pytest.mark.parametrize(
    ("address", "is_allowed"),
    [("8.8.8.8", True), ("2606:4700::1111", True), ("10.1.2.3", False), ("127.0.0.1", False)],
)
def test_it_knows_public_addresses(address: str, is_allowed: bool) -> None:
    assert is_allowed_address(address) is is_allowed


async def test_it_does_not_connect_to_a_name_that_resolves_to_an_inner_address() -> None:
    resolver = PublicResolver()

    with pytest.raises(OSError, match="no address"):
        await resolver.resolve("localhost", 80)

    await resolver.close()


def test_it_does_not_show_a_key_in_a_traceback() -> None:
    add("--model", "gpt-4", "--default-price")

    assert KEY not in repr(load_models())


def add_another(*options: str, name: str = "acme") -> str:
    out = StringIO()
    call_command("add_provider_key", name, *options, stdout=out)
    return out.getvalue()


def test_it_adds_a_key_beside_the_others() -> None:
    add("--model", "gpt-4", "--default-price")

    out = add_another("--api-key", "sk-fedcba9876543210", "--priority", "1", "--weight", "3")
    again = add("--model", "gpt-4", "--default-price")

    first, second = load_models()["gpt-4"].routes[0].upstream.keys
    assert out == "added acme …3210\n"
    assert again == "acme is set up like that already\n"
    assert (first.secret, first.priority, first.weight) == (KEY, 0, 1)
    assert (second.secret, second.priority, second.weight) == ("sk-fedcba9876543210", 1, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--api-key", KEY), "has this key already"),
        (("--api-key", "two words"), "printable ASCII"),
        (("--api-key", "sk-2", "--weight", "0"), "greater than or equal to 1"),
        (("--api-key", "sk-2", "--priority", "-1"), "greater than or equal to 0"),
    ],
)
def test_it_refuses_another_key_that_makes_no_sense(options: tuple[str, ...], message: str) -> None:
    add("--model", "gpt-4")

    with pytest.raises(CommandError, match=message):
        add_another(*options)

    assert ProviderKey.objects.count() == 1


def test_a_key_is_added_to_a_provider_that_there_is() -> None:
    with pytest.raises(CommandError, match="no provider"):
        add_another("--api-key", KEY, name="nobody")


def test_an_ejected_key_is_used_again_when_it_is_set_up_again() -> None:
    add("--model", "gpt-4")
    ProviderKey.objects.update(ejected_at="2026-01-01T00:00Z", ejection_reason="401")

    out = add("--model", "gpt-4")

    assert "took the API key of acme back" in out
    assert ProviderKey.objects.get().ejected_at is None


def test_ejected_keys_are_the_last_resort() -> None:
    add("--model", "gpt-4", "--default-price")
    ProviderKey.objects.update(ejected_at="2026-01-01T00:00Z", ejection_reason="401")
    alone = load_models()["gpt-4"].routes[0].upstream.secrets

    add_another("--api-key", "sk-2")

    assert alone == (KEY,)
    assert load_models()["gpt-4"].routes[0].upstream.secrets == ("sk-2",)


@pytest.mark.parametrize("command", ["add_provider", "add_provider_key"])
@pytest.mark.parametrize("is_standard_input", [True, False])
def test_a_key_comes_from_a_file_or_standard_input(
    command: str, is_standard_input: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add("--model", "gpt-4", "--default-price")
    file = tmp_path / "key"
    file.write_text("sk-from-a-file-0123\n")
    monkeypatch.setattr("sys.stdin", StringIO(file.read_text()))
    more = ["--base-url", URL, "--model", "gpt-4"] if command == "add_provider" else []

    path = "-" if is_standard_input else str(file)
    call_command(command, "acme", "--api-key-file", path, *more, stdout=StringIO())

    newest = ProviderKey.objects.order_by("pk").last()
    assert newest is not None
    assert decrypt_secret(bytes(newest.encrypted_secret)) == "sk-from-a-file-0123"


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "can't be read"), (b" \n", "is empty"), (b"\xff", "can't be")]
)
def test_a_file_without_a_key_is_refused(
    content: bytes | None, reason: str, tmp_path: Path
) -> None:
    add("--model", "gpt-4", "--default-price")
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(CommandError, match=reason):
        call_command("add_provider_key", "acme", "--api-key-file", str(file))

    assert ProviderKey.objects.count() == 1
