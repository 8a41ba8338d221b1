"""A stack for tests: several web processes, handles to each child, nothing shared."""

import os
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from devstack.errors import LaunchError
from devstack.plan import Command, Plan, product_plan
from devstack.ready import ask
from devstack.site import Site, choose_site
from devstack.stack import Stack
from tests.devstack import standin


def two_webs(site: Site) -> Plan:
    webs = [
        Command(f"web{index}", standin.stand_in("serve", str(port)), port=port)
        for index, port in enumerate(site.web_ports, start=1)
    ]
    return Plan(
        sandboxes=[], setup=[], seed=Command("seed", standin.stand_in("greet", "demo")), web=webs
    )


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    monkeypatch.setenv("STANDIN_FOLDER", str(tmp_path))
    with Stack(tmp_path / "stack", webs=2, planner=two_webs) as running:
        yield running


def test_every_web_process_answers_on_its_own_port(stack: Stack) -> None:
    assert len(set(stack.web_urls)) == 2
    assert [ask(url)[0] for url in stack.web_urls] == [200, 200]


def test_a_killed_web_process_comes_back_on_its_port(stack: Stack) -> None:
    stack.web[1].kill()
    assert ask(stack.web_urls[1])[0] == 0

    stack.web[1].start()
    stack.await_ready()

    assert ask(stack.web_urls[1])[0] == 200


def test_it_shares_no_service_with_the_tests_around_it(stack: Stack) -> None:
    assert stack.env["DATABASE_URL"] != os.environ["DATABASE_URL"]
    assert stack.env["REDIS_URL"] != os.environ["REDIS_URL"]


def test_it_starts_again_with_its_data_and_addresses(stack: Stack) -> None:
    before = (stack.url, stack.stripe_url, stack.env["SECRET_KEY"])

    stack.stop()
    stack.start()

    assert (stack.url, stack.stripe_url, stack.env["SECRET_KEY"]) == before


def test_it_uses_the_services_it_is_given(tmp_path: Path) -> None:
    given = {"DATABASE_URL": "postgresql://db.example/x", "REDIS_URL": "redis://r.example:1/0"}
    environ = {**os.environ, "STANDIN_FOLDER": str(tmp_path), "CELERY_BROKER_URL": "", **given}

    with Stack(tmp_path / "stack", environ=environ, webs=2, planner=two_webs) as stack:
        env = stack.env

    assert env["DATABASE_URL"] == "postgresql://db.example/x"
    # The product puts it beside the wallets.
    assert env["CELERY_BROKER_URL"] == ""
    assert (stack.postgres, stack.valkey) == (None, None)


def site(folder: Path, given: dict[str, str]) -> Site:
    return choose_site(folder, host="127.0.0.1", port=None, webs=1, given=given)


def test_no_stripe_sandbox_starts_where_the_user_brings_stripe(tmp_path: Path) -> None:
    given = {"STRIPE_SECRET_KEY": "sk_live_mine", "STRIPE_WEBHOOK_SECRET": "whsec_mine"}

    chosen = site(tmp_path, given)

    names = [command.name for command in product_plan(chosen).sandboxes]
    assert names == ["upstream", "mail"]
    assert chosen.settings["STRIPE_SECRET_KEY"] == "sk_live_mine"
    assert "STRIPE_API_BASE" not in chosen.settings


def test_mail_goes_to_the_sandbox_unless_the_user_brings_a_server(tmp_path: Path) -> None:
    here = site(tmp_path, {})
    there = site(tmp_path, {"EMAIL_URL": "smtp://mail.example:25"})

    assert here.settings["EMAIL_URL"] == f"smtp://127.0.0.1:{here.smtp_port}"
    assert there.settings["EMAIL_URL"] == "smtp://mail.example:25"
    names = [command.name for command in product_plan(there).sandboxes]
    assert names == ["stripe", "upstream"]


def test_the_sandbox_is_told_the_key_and_secret_that_the_product_has(tmp_path: Path) -> None:
    chosen = site(tmp_path, {})

    stripe = product_plan(chosen).sandboxes[0].argv

    assert stripe[stripe.index("--api-key") + 1] == chosen.settings["STRIPE_SECRET_KEY"]
    assert stripe[stripe.index("--webhook-secret") + 1] == chosen.settings["STRIPE_WEBHOOK_SECRET"]
    assert chosen.settings["STRIPE_API_BASE"] == chosen.stripe_url


def test_a_connection_outlives_what_the_official_sdk_keeps_of_it(tmp_path: Path) -> None:
    kept_s = openai.DEFAULT_CONNECTION_LIMITS.keepalive_expiry

    [web] = product_plan(site(tmp_path, {})).web

    assert kept_s == 5
    assert float(web.argv[web.argv.index("--timeout-keep-alive") + 1]) > 2 * kept_s


def test_a_malformed_secrets_file_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "secrets.env").write_text("SECRET_KEY=fine\nnonsense\n")

    with pytest.raises(LaunchError, match=r"secrets\.env, line 2: expected NAME=VALUE"):
        site(tmp_path, {})


def test_secrets_stay_the_same_from_start_to_start(tmp_path: Path) -> None:
    first = site(tmp_path, {}).settings
    second = site(tmp_path, {}).settings

    assert first == second
