from accounts.models import ApiKey, User
from accounts.secrets import digest_of
from accounts.teams.members import own_seat
from billing.keys.api_keys import issue_api_key
from billing.keys.first_key import claim_first_key
from billing.models import Order, Pack
from billing.orders.checkout import start_checkout
from billing.orders.checkout_payments import fulfil_checkout
from tests.racing import race
from tests.stripe_sandbox import Sandbox


def fulfil(order: Order) -> Order:
    return fulfil_checkout(order.stripe_session_id or "")


def test_the_first_payment_makes_a_key_that_works(paid: Order, alice: User) -> None:
    secret = claim_first_key(fulfil(paid))

    assert secret is not None
    key = ApiKey.objects.get()
    assert key.created_by == alice
    assert key.digest == digest_of(secret)


def test_it_is_shown_once(paid: Order) -> None:
    order = fulfil(paid)
    claim_first_key(order)

    assert claim_first_key(order) is None

    assert ApiKey.objects.count() == 1


def test_an_order_that_is_not_paid_makes_no_key(order: Order) -> None:
    assert claim_first_key(order) is None

    assert not ApiKey.objects.exists()


def test_who_has_a_key_gets_no_other(paid: Order, alice: User) -> None:
    issue_api_key(own_seat(alice), name="Mine")

    assert claim_first_key(fulfil(paid)) is None

    assert ApiKey.objects.count() == 1


def test_the_second_order_makes_no_key(paid: Order, alice: User, sandbox: Sandbox) -> None:
    fulfil(paid)
    second = start_checkout(own_seat(alice), pack_slug="starter")
    sandbox.pay(second.stripe_session_id)

    assert claim_first_key(fulfil(second)) is None

    assert claim_first_key(paid) is not None


def test_return_pages_at_once_show_one_key(paid: Order, pack: Pack) -> None:
    order = fulfil(paid)
    secrets = race([lambda: claim_first_key(order)] * 4, meet_at='INSERT INTO "accounts_apikey"')

    assert len([secret for secret in secrets if secret]) == 1
    assert ApiKey.objects.count() == 1
