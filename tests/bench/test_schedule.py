"""What is struck, and when."""

from dataclasses import replace

from bench.chaos.schedule import DEFAULT_MINUTES, count_kinds, make_schedule


def test_the_same_seed_gives_the_same_strikes() -> None:
    first = make_schedule(7, minutes=DEFAULT_MINUTES, webs=3)
    again = make_schedule(7, minutes=DEFAULT_MINUTES, webs=3)

    assert [str(strike) for strike in first] == [str(strike) for strike in again]


def test_another_seed_gives_others() -> None:
    first = make_schedule(7, minutes=DEFAULT_MINUTES, webs=3)
    other = make_schedule(8, minutes=DEFAULT_MINUTES, webs=3)

    assert first != other


def test_a_default_run_strikes_as_often_as_was_promised() -> None:
    counts = count_kinds(make_schedule(1, minutes=DEFAULT_MINUTES, webs=3))

    assert counts["web kill"] >= 100
    assert counts["worker kill"] >= 50
    assert counts["redis kill"] + counts["redis rewind"] + counts["redis flush"] >= 10
    assert counts["postgres stop"] >= 5
    assert counts["web freeze"] >= 1


def test_a_short_run_has_one_of_each_but_a_freeze() -> None:
    counts = count_kinds(make_schedule(1, minutes=0.4, webs=3))

    assert set(counts) == {
        "web kill",
        "worker kill",
        "beat kill",
        "redis kill",
        "redis rewind",
        "redis flush",
        "postgres stop",
    }


def test_strikes_come_in_the_order_of_time_and_within_it() -> None:
    instants = [strike.at_s for strike in make_schedule(3, minutes=2, webs=2)]

    assert instants == sorted(instants)
    assert 0 <= instants[0] <= instants[-1] <= 120


def test_every_web_process_is_struck() -> None:
    schedule = make_schedule(1, minutes=1, webs=3)

    struck = {strike.target for strike in schedule if strike.kind == "web kill"}
    assert struck == {"web1", "web2", "web3"}


def test_every_order_of_a_run_has_an_id_of_its_own() -> None:
    orders = [strike.order for strike in make_schedule(5, minutes=20, webs=3) if strike.order]

    assert len({order.order_id for order in orders}) == len(orders)


def test_each_of_several_servers_of_redis_is_struck_and_nothing_else_is_changed() -> None:
    one = make_schedule(5, minutes=20, webs=3)
    three = make_schedule(5, minutes=20, webs=3, nodes=3)

    assert [replace(strike, target="") for strike in three] == [
        replace(strike, target="") for strike in one
    ]
    struck = {strike.target for strike in three if strike.lane == "redis"}
    assert struck == {"redis1", "redis2", "redis3"}


def test_failovers_come_beside_everything_else() -> None:
    without = make_schedule(5, minutes=DEFAULT_MINUTES, webs=3)
    failing_over = make_schedule(5, minutes=DEFAULT_MINUTES, webs=3, has_failover=True)

    failovers = [strike for strike in failing_over if strike.kind == "redis failover"]
    assert len(failovers) == 8
    assert {strike.lane for strike in failovers} == {"redis"}
    assert all(0.5 <= strike.seconds <= 6 for strike in failovers)
    assert [strike for strike in failing_over if strike not in failovers] == without
