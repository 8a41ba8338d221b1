"""Bars: where they stand, also below zero."""

from accounts.desk.charts import count_of, make_chart


def test_bars_stand_on_a_line_and_hang_from_it() -> None:
    chart = make_chart("Margin", "usd", [("1", 30, "30"), ("2", -10, "−10"), ("3", 0, "0")])

    shape = [(bar.x, bar.y, bar.height, bar.is_negative) for bar in chart.bars]
    assert shape == [(0, 0, 75, False), (20, 75, 25, True), (40, 75, 0, False)]
    assert (chart.width, chart.summary) == (60, "last: 0")


def test_a_chart_of_nothing_is_flat() -> None:
    assert [bar.height for bar in make_chart("Use", "", [("1", 0, "0")]).bars] == [0]
    assert make_chart("Use", "", []).bars == []


def test_one_is_not_told_as_several() -> None:
    told = [count_of(count, "request") for count in (0, 1, 1_000)]

    assert told == ["0 requests", "1 request", "1,000 requests"]
