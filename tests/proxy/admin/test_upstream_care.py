"""What staff see of upstreams, and what they may do about them. The upstream is the sandbox."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import User
from billing.models import LedgerEntry, PublicModel, UsageRecord
from billing.wallet.sync_client import SyncWalletClient
from proxy.models import Provider, ProviderKey, Route
from proxy.parsing.origins import origin_of
from proxy.upstreams import shared
from proxy.upstreams.ejection import eject_key
from proxy.upstreams.loading import load_routes
from proxy.upstreams.shared import CircuitLimits
from tests import desk
from tests.proxy.conftest import Sandbox, sell

HEALTH = "/admin/proxy/provider/health/"


@pytest.fixture
def root(db: None) -> Client:
    return desk.log_in(User.objects.create_superuser("root@example.com"))


@pytest.fixture
def sandbox(
    settings: Any, db: None, redis_wallets: SyncWalletClient, upstream: Sandbox
) -> Provider:
    """The sandbox as a provider of gpt-4."""
    settings.ALLOW_LOOPBACK_PROVIDERS = True
    sell(upstream, "gpt-4")
    return Provider.objects.get()


def tell(client: SyncWalletClient, *seen: list[Any]) -> None:
    """Report outcomes as a web process does."""
    client.redis.execute_command(*shared.parts(CircuitLimits(row=2), "report", *seen))


def do(root: Client, action: str, obj: Any, **answers: Any) -> str:
    """Carry an action out, and return what the desk says of it."""
    answer = root.post(desk.do_url(action, obj), {"reason": "a test", **answers}, follow=True)
    return " ".join(str(message) for message in answer.context["messages"])


def test_a_route_is_tested_for_real_and_nobody_is_charged(root: Client, sandbox: Provider) -> None:
    said = do(root, "test", sandbox.routes.get())

    assert "chat.completions: 200 in" in said
    assert "16 completion tokens" in said
    assert not UsageRecord.objects.exists()
    assert not LedgerEntry.objects.exists()


def test_a_test_says_what_the_upstream_said_but_not_our_key(
    root: Client, sandbox: Provider
) -> None:
    sandbox.routes.update(upstream_model="fault-401")

    said = do(root, "test", sandbox)

    assert "401 in" in said
    assert "Incorrect API key provided: …" in said
    assert "canary" not in said


def test_a_test_waits_for_a_whole_answer_as_a_customer_does(
    root: Client, sandbox: Provider
) -> None:
    sandbox.routes.update(upstream_model="fault-slow-first-byte-2")
    type(sandbox).objects.update(first_byte_timeout_s=1)

    assert "chat.completions: 200 in" in do(root, "test", sandbox)


def test_a_test_waits_no_longer_than_an_answer_may_take(root: Client, sandbox: Provider) -> None:
    sandbox.routes.update(upstream_model="fault-slow-first-byte-30")
    type(sandbox).objects.update(total_timeout_s=1)

    assert "Gave up after 1 s" in do(root, "test", sandbox)


def test_a_test_follows_the_routes_rules(root: Client, sandbox: Provider) -> None:
    sandbox.routes.update(
        parameter_rules=[{"rename": "max_tokens", "to": "max_completion_tokens"}],
        endpoints=["chat.completions"],
    )

    assert "200 in" in do(root, "test", sandbox)


def test_every_key_is_tested(root: Client, sandbox: Provider) -> None:
    key = sandbox.keys.get()
    ProviderKey.objects.create(
        provider=sandbox, encrypted_secret=key.encrypted_secret, hint=key.hint, origin=key.origin
    )

    said = do(root, "test", sandbox)

    assert said.count("200 in") == 2


@pytest.mark.parametrize("how", ["test", "import-models", "serve"])
def test_a_key_is_not_sent_to_another_host(root: Client, sandbox: Provider, how: str) -> None:
    # The same server by another name, as if somebody had moved the address past every form.
    moved = sandbox.base_url.replace("127.0.0.1", "localhost")
    Provider.objects.update(base_url=moved)

    if how == "serve":
        assert load_routes() == {}
    else:
        assert "entered for its host" in do(root, how, sandbox)

    sandbox.keys.update(origin=origin_of(moved))
    assert load_routes() if how == "serve" else "entered for" not in do(root, how, sandbox)


def test_a_key_for_another_host_is_told(root: Client, sandbox: Provider) -> None:
    Provider.objects.update(base_url="https://elsewhere.example/v1")

    for url in (desk.list_url(ProviderKey), desk.page_url(sandbox), HEALTH):
        assert "for another host" in root.get(url).content.decode()


def test_what_cant_be_tested_is_told(root: Client, sandbox: Provider) -> None:
    sandbox.keys.update(is_active=False)

    assert "no key that is switched on" in do(root, "test", sandbox)


def test_the_page_shows_circuits_keys_and_figures(
    root: Client, sandbox: Provider, redis_wallets: SyncWalletClient
) -> None:
    route, key = sandbox.routes.get(), sandbox.keys.get()
    tell(
        redis_wallets,
        [f"p{sandbox.pk}", 0, 2, 2, False, 0, "not reached: ConnectionRefusedError", "row"],
        [f"r{route.pk}", 3, 1, 0, True, 360, "500 server_error", "rate"],
        [f"k{key.pk}", 4, 0, 0, True, 480, "", ""],
    )

    page = root.get(HEALTH)

    [health] = page.context["providers"]
    assert health.figures.open_for_s == pytest.approx(10, abs=2)
    [(_, figures)] = health.routes
    assert (figures.asked, figures.share_percent, figures.latency_ms) == (4, 75, 120)
    assert figures.error == "500 server_error"
    assert health.keys[0].figures.asked == 4
    assert "open for" in page.content.decode()


def test_the_page_says_so_if_redis_is_away(root: Client, sandbox: Provider, settings: Any) -> None:
    # Port 9 is "discard", where nobody listens.
    settings.REDIS_URL = "redis://127.0.0.1:9/0"

    page = root.get(HEALTH)

    assert page.status_code == 200
    assert "Redis does not answer" in page.content.decode()


def test_the_page_is_for_staff_with_the_right_to_it(sandbox: Provider) -> None:
    assert desk.make_staff("new@example.com").get(HEALTH).status_code == 403
    assert desk.make_staff("old@example.com", "proxy.view_provider").get(HEALTH).status_code == 200


def test_a_circuit_is_closed_by_hand(
    root: Client, sandbox: Provider, redis_wallets: SyncWalletClient
) -> None:
    tell(redis_wallets, [f"p{sandbox.pk}", 0, 2, 2, False, 0, "not reached", "row"])
    assert root.get(HEALTH).context["providers"][0].figures.open_for_s

    do(root, "close-circuit", sandbox)

    assert root.get(HEALTH).context["providers"][0].figures.open_for_s is None


@pytest.mark.django_db(transaction=True)
def test_an_ejected_key_is_taken_back(root: Client, sandbox: Provider) -> None:
    key = sandbox.keys.get()
    eject_key(key.pk, sealed=bytes(key.encrypted_secret), reason="401 invalid_api_key")
    page = root.get(desk.page_url(sandbox)).content.decode()

    said = do(root, "take-back", key)

    key.refresh_from_db()
    assert "ejected" in page
    assert "It is used again." in said
    assert (key.ejected_at, key.ejection_reason) == (None, "")


def test_an_ejected_key_is_ejected_once(sandbox: Provider) -> None:
    key = sandbox.keys.get()
    sealed = bytes(key.encrypted_secret)

    told = [eject_key(key.pk, sealed=sealed, reason="401") for _ in range(2)]

    assert told == [True, False]


def test_rules_that_change_the_cost_are_refused(root: Client, sandbox: Provider) -> None:
    route = sandbox.routes.get()
    form = {
        "model": route.model_id,
        "provider": sandbox.pk,
        "upstream_model": "gpt-4",
        "priority": 0,
        "weight": 1,
        "parameter_rules": '[{"drop": "max_tokens"}]',
        "endpoints": ["chat.completions"],
        "reasoning_beyond_maximum": 0,
    }

    answer = root.post(desk.page_url(route), form)
    root.post(desk.page_url(route), {**form, "parameter_rules": '[{"drop": "stop"}]'})

    route.refresh_from_db()
    assert "parameter_rules" in answer.context["adminform"].form.errors
    assert route.parameter_rules == [{"drop": "stop"}]
    assert route.endpoints == ["chat.completions"]


LISTED = [
    {"id": "openrouter", "context_length": 32_768},
    {"id": "vllm", "max_model_len": 32_768},
    {"id": "silent"},
    {"id": "absurd", "context_window": -1, "context_length": True, "max_model_len": 10**30},
    # It exists here, and is staff's.
    {"id": "gpt-4", "context_length": 9},
]


@pytest.fixture
def list_server() -> Iterator[str]:
    """A provider that tells more of its models than their names."""

    class Lists(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"object": "list", "data": LISTED}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Lists) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


def sync(*arguments: str) -> str:
    out = StringIO()
    call_command("sync_models", "sandbox", *arguments, stdout=out)
    return out.getvalue()


def test_a_dry_run_says_what_is_new_and_changes_nothing(sandbox: Provider) -> None:
    said = sync("--prefix", "acme/", "--only", "gpt-4o*")

    assert "new: acme/gpt-4o → gpt-4o\n" in said
    assert "new: acme/gpt-4o-mini → gpt-4o-mini\n" in said
    assert "2 new, 0 vanished, 0 returned, 0 refused, 1 as before" in said
    assert "Nothing was changed" in said
    assert (Route.objects.count(), PublicModel.objects.count()) == (1, 1)


def test_what_is_imported_is_switched_off_and_has_no_price(sandbox: Provider) -> None:
    sync("--only", "gpt-4o", "--apply")
    again = sync("--only", "gpt-4o", "--apply")

    route = Route.objects.get(upstream_model="gpt-4o")
    assert not route.is_active
    assert not route.model.prices.exists()
    assert "0 new" in again


def test_a_list_that_tells_how_much_a_model_reads_is_believed_for_new_models(
    sandbox: Provider, list_server: str
) -> None:
    Provider.objects.update(base_url=list_server)
    ProviderKey.objects.update(origin=origin_of(list_server))

    sync("--apply")

    contexts = dict(PublicModel.objects.values_list("name", "context_tokens"))
    assert contexts["openrouter"] == contexts["vllm"] == 32_768
    assert contexts["silent"] is None
    assert contexts["absurd"] is None
    assert contexts["gpt-4"] is None


def test_what_vanished_is_marked_until_it_returns(sandbox: Provider) -> None:
    route = sandbox.routes.get()
    sandbox.routes.update(upstream_model="gpt-2")

    said = sync("--only", "none", "--apply")
    route.refresh_from_db()
    vanished_at = route.vanished_at
    sandbox.routes.update(upstream_model="gpt-4")
    sync("--only", "none", "--apply")

    route.refresh_from_db()
    assert "vanished: gpt-4 → gpt-2" in said
    assert vanished_at is not None
    assert route.vanished_at is None
    assert route.is_active


def test_a_name_that_cant_be_ours_is_told(sandbox: Provider) -> None:
    said = sync("--prefix", "a b/", "--only", "gpt-4o")

    assert "refused: gpt-4o: A model's name has" in said


def test_a_list_that_does_not_come_marks_nothing(sandbox: Provider) -> None:
    Provider.objects.update(base_url="http://127.0.0.1:9/v1")
    ProviderKey.objects.update(origin="http://127.0.0.1:9")

    with pytest.raises(CommandError, match="did not give its list"):
        sync("--apply")

    assert not Route.objects.filter(vanished_at__isnull=False).exists()


@pytest.mark.django_db
def test_an_unknown_provider_is_told() -> None:
    with pytest.raises(CommandError, match="no provider"):
        call_command("sync_models", "nobody")


def test_staff_import_on_a_page(root: Client, sandbox: Provider) -> None:
    seen = do(root, "import-models", sandbox, only="gpt-4o-mini")
    done = do(root, "import-models", sandbox, only="gpt-4o-mini", is_applied="on")

    assert "Nothing was changed. 1 new" in seen
    assert done.startswith("sandbox: 1 new")
    assert Route.objects.filter(upstream_model="gpt-4o-mini", is_active=False).exists()
