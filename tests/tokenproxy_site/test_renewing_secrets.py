"""Each secret is renewed while the product runs: what the old one made stays good meanwhile."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
import redis
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from cryptography.fernet import Fernet
from django.contrib.auth.tokens import default_token_generator
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from accounts.models import User
from billing.wallet.sync_client import get_sync_client
from common.encryption import InvalidToken, decrypt_secret
from proxy.models import Provider, ProviderAccount, ProviderKey
from proxy.upstreams.providers.setup import add_key, enter_secret

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
SECRET = "sk-0123456789abcdef"

pytestmark = pytest.mark.django_db


def reencrypt() -> str:
    out = StringIO()
    call_command("reencrypt_secrets", stdout=out)
    return out.getvalue()


def test_djangos_key_leaves_people_signed_in_and_links_good(alice: User, settings: Any) -> None:
    settings.SECRET_KEY = "old" * 20
    browser = Client()
    browser.force_login(alice)
    link = default_token_generator.make_token(alice)

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new" * 20, ["old" * 20]
    assert browser.get("/dashboard/").status_code == 200
    assert default_token_generator.check_token(alice, link)

    # Who came while both were known stays: the session is signed anew.
    settings.SECRET_KEY_FALLBACKS = []
    assert browser.get("/dashboard/").status_code == 200
    assert not default_token_generator.check_token(alice, link)


@pytest.fixture
def provider(settings: Any) -> Provider:
    settings.PROVIDER_KEYS_SECRETS = [OLD]
    provider = Provider.objects.create(name="acme", base_url="https://api.example.com/v1")
    add_key(provider, SECRET, priority=0, weight=1)
    return provider


def test_the_key_of_providers_keys_and_second_factors(
    alice: User, provider: Provider, settings: Any
) -> None:
    app = TOTP.activate(alice, "ABCDEFGHIJKLMNOP").instance
    codes = RecoveryCodes.activate(alice)
    shown = codes.get_unused_codes()

    settings.PROVIDER_KEYS_SECRETS = [NEW, OLD]
    said = reencrypt(), reencrypt()

    settings.PROVIDER_KEYS_SECRETS = [NEW]
    assert said == ("encrypted 3 anew\n", "encrypted 0 anew\n")
    key = ProviderKey.objects.get()
    assert decrypt_secret(bytes(key.encrypted_secret)) == SECRET
    renewed = Authenticator.objects.get(pk=app.pk)
    assert decrypt_secret(renewed.data["secret"].encode()) == "ABCDEFGHIJKLMNOP"
    assert RecoveryCodes(Authenticator.objects.get(pk=codes.instance.pk)).get_unused_codes() == (
        shown
    )


def test_the_keys_of_our_accounts_at_providers_are_renewed_and_named(
    provider: Provider, settings: Any
) -> None:
    account = ProviderAccount(provider=provider, shape="openai")
    enter_secret(account, "sk-admin")
    account.save()
    other = Provider.objects.create(name="other", base_url="https://api.example.com/v1")
    ProviderAccount.objects.create(provider=other, shape="deepseek")

    settings.PROVIDER_KEYS_SECRETS = [NEW, OLD]
    assert reencrypt() == "encrypted 2 anew\n"

    settings.PROVIDER_KEYS_SECRETS = [NEW]
    account.refresh_from_db()
    assert decrypt_secret(bytes(account.encrypted_secret)) == "sk-admin"
    settings.PROVIDER_KEYS_SECRETS = [Fernet.generate_key().decode()]
    with pytest.raises(CommandError, match="the key of the account at acme"):
        reencrypt()


def test_what_no_key_opens_is_named_and_the_rest_is_done(provider: Provider, settings: Any) -> None:
    settings.PROVIDER_KEYS_SECRETS = [Fernet.generate_key().decode()]
    other = Provider.objects.create(name="other", base_url="https://api.example.com/v1")
    theirs = add_key(other, SECRET, priority=0, weight=1)
    settings.PROVIDER_KEYS_SECRETS = [NEW, OLD]

    with pytest.raises(CommandError, match="No key of PROVIDER_KEYS_SECRET opens the key other"):
        reencrypt()

    settings.PROVIDER_KEYS_SECRETS = [NEW]
    mine = ProviderKey.objects.get(provider=provider)
    assert decrypt_secret(bytes(mine.encrypted_secret)) == SECRET
    with pytest.raises(InvalidToken):
        decrypt_secret(bytes(ProviderKey.objects.get(pk=theirs.pk).encrypted_secret))


def test_redis_takes_both_passwords_while_they_change() -> None:
    server = get_sync_client().redis
    where = server.connection_pool.connection_kwargs
    server.acl_setuser("renewed", enabled=True, passwords=["+old"], commands=["+ping"])
    try:
        connect = sign_in_to_redis(where)
        running = connect("old")
        server.execute_command("ACL", "SETUSER", "renewed", ">new")
        assert all([running.ping(), connect("old").ping(), connect("new").ping()])

        server.execute_command("ACL", "SETUSER", "renewed", "<old")
        assert connect("new").ping()
        with pytest.raises(redis.AuthenticationError):
            connect("old").ping()
    finally:
        server.acl_deluser("renewed")


def sign_in_to_redis(where: dict[str, Any]) -> Callable[[str], "redis.Redis"]:
    kept = {name: where[name] for name in ("host", "port", "path") if where.get(name)}
    return lambda password: redis.Redis(**kept, username="renewed", password=password)


def test_a_second_role_may_all_that_the_first_may() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE first_app LOGIN PASSWORD 'old'")
        cursor.execute("GRANT SELECT ON django_migrations TO first_app")
        cursor.execute("CREATE ROLE second_app LOGIN PASSWORD 'new' IN ROLE first_app")
        cursor.execute("SELECT has_table_privilege('second_app', 'django_migrations', 'SELECT')")

        assert cursor.fetchone() == (True,)
