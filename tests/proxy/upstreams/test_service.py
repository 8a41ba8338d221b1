"""How long a model was served, counted from what the web processes share."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from billing.models import PublicModel
from billing.wallet.sync_client import SyncWalletClient
from proxy.errors import HealthUnknown
from proxy.models import Provider, Route, ServiceDay
from proxy.upstreams import shared
from proxy.upstreams.service import Day, count_service, read_histories
from tests.racing import race

pytestmark = pytest.mark.django_db


@pytest.fixture
def routes() -> list[Route]:
    """gpt-4 at two providers."""
    model = PublicModel.objects.create(name="gpt-4")
    return [
        Route.objects.create(
            model=model,
            provider=Provider.objects.create(name=name, base_url="https://example.com/v1"),
            upstream_model="gpt-4",
        )
        for name in ("acme", "bolt")
    ]


@pytest.fixture
def start() -> int:
    """A bucket of two minutes ago. Twelve follow it before the present one."""
    return int((timezone.now() - timedelta(minutes=2)).timestamp() // 10)


class Tally:
    """Writes outcomes where web processes report them."""

    def __init__(self, client: SyncWalletClient) -> None:
        self._redis = client.redis

    def __call__(self, circuit: str, bucket: int, *, served: int = 0, failed: int = 0) -> None:
        self._redis.hset(shared.COUNTS + circuit, str(bucket), f"{served} {failed} 0")


@pytest.fixture
def tally(redis_wallets: SyncWalletClient) -> Tally:
    return Tally(redis_wallets)


def seconds() -> tuple[int, int]:
    rows = ServiceDay.objects.filter(model_name="gpt-4")
    return sum(row.served_s for row in rows), sum(row.failing_s for row in rows)


def test_it_counts_ten_seconds_for_each_bucket_in_which_anything_was_served(
    routes: list[Route], tally: Tally, start: int
) -> None:
    first, second = (f"r{route.pk}" for route in routes)
    tally(first, start, served=3)
    tally(first, start + 1, served=1, failed=5)
    # The second provider stood in.
    tally(first, start + 2, failed=4)
    tally(second, start + 2, served=4)
    tally(first, start + 3, failed=1)

    count_service()

    assert seconds() == (30, 10)


def test_it_counts_nothing_twice(routes: list[Route], tally: Tally, start: int) -> None:
    tally(f"r{routes[0].pk}", start, served=3)
    tally(f"r{routes[0].pk}", start + 1, failed=3)

    assert count_service() >= 1
    assert count_service() == 0
    tally(f"r{routes[0].pk}", start + 2, served=1)
    count_service()

    assert seconds() == (20, 10)


@pytest.mark.django_db(transaction=True)
def test_sweeps_at_once_count_a_bucket_once(routes: list[Route], tally: Tally, start: int) -> None:
    tally(f"r{routes[0].pk}", start, served=3)

    race([count_service] * 4, meet_at='UPDATE "proxy_serviceday"')

    assert seconds() == (10, 0)


def test_it_leaves_the_present_bucket_for_later(
    routes: list[Route], tally: Tally, start: int
) -> None:
    tally(f"r{routes[0].pk}", start + 100, served=3)

    assert count_service() == 0
    assert seconds() == (0, 0)


def test_a_provider_out_of_reach_fails_a_model_only_if_no_other_may_stand_in(
    routes: list[Route], tally: Tally, start: int
) -> None:
    providers = [f"p{route.provider_id}" for route in routes]
    # Another model's requests told it.
    tally(providers[0], start, failed=5)
    count_service()
    assert seconds() == (0, 0)

    tally(providers[0], start + 1, failed=5)
    tally(providers[1], start + 1, failed=5)
    count_service()

    assert seconds() == (0, 10)


def test_midnight_parts_two_days(routes: list[Route], tally: Tally, start: int) -> None:
    midnight = datetime.combine(
        datetime.now(UTC).date() - timedelta(days=1), datetime.min.time(), UTC
    )
    bucket = int(midnight.timestamp() // 10)
    tally(f"r{routes[0].pk}", bucket - 1, served=1)
    tally(f"r{routes[0].pk}", bucket, failed=1)

    count_service()

    before, after = ServiceDay.objects.order_by("day")
    assert (before.served_s, before.failing_s) == (10, 0)
    assert (after.day, after.served_s, after.failing_s) == (midnight.date(), 0, 10)


def test_it_says_that_it_does_not_know_when_redis_is_away(
    routes: list[Route], settings: Settings
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    with pytest.raises(HealthUnknown):
        count_service()


def test_a_history_has_ninety_days_whether_or_not_anybody_asked() -> None:
    today = datetime.now(UTC).date()
    ServiceDay.objects.create(day=today, model_name="gpt-4", served_s=990, failing_s=10)
    ServiceDay.objects.create(day=today - timedelta(days=90), model_name="gpt-4", failing_s=10)

    [history, other] = read_histories(["gpt-4", "gpt-4o"])

    assert len(history.days) == len(other.days) == 90
    assert history.days[-1] == Day(today, 990, 10)
    assert history.uptime == 99.0
    assert other.uptime is None


@pytest.mark.parametrize(
    ("day", "state", "words"),
    [
        (Day(datetime.now(UTC).date()), "unknown", "no requests"),
        (Day(datetime.now(UTC).date(), 100, 0), "good", "no trouble"),
        (Day(datetime.now(UTC).date(), 9_950, 50), "good", "99.50%, failing for 1 minute"),
        (Day(datetime.now(UTC).date(), 9_500, 500), "some", "95.00%, failing for 9 minutes"),
        (Day(datetime.now(UTC).date(), 0, 60), "bad", "0.00%, failing for 1 minute"),
    ],
)
def test_a_day_says_how_it_was(day: Day, state: str, words: str) -> None:
    assert (day.state, day.words) == (state, words)
