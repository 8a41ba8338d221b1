"""The table that is printed, and the row that `RESULTS.md` keeps."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bench.machine import Calibration, median_of
from bench.table.measuring import Measured
from bench.table.rows import FIGURES, Figure

RESULTS = Path(__file__).parent.parent / "RESULTS.md"


@dataclass
class Results:
    """What was measured: by the run's name, then by the gateway's, one for each round."""

    titles: Mapping[str, str]
    missing: Mapping[str, str]
    machine: str
    made_of: str
    measured: dict[str, dict[str, list[Measured]]] = field(default_factory=dict)
    failed: dict[str, dict[str, str]] = field(default_factory=dict)
    calibrations: dict[str, list[Calibration]] = field(default_factory=dict)

    def note(self, run: str, gateway: str, measured: Measured) -> None:
        self.measured.setdefault(run, {}).setdefault(gateway, []).append(measured)

    def values(self, figure: Figure, gateway: str) -> list[float]:
        rounds = self.measured.get(figure.run, {}).get(gateway, [])
        return [measured.figures[figure.key] for measured in rounds]

    def cell(self, figure: Figure, gateway: str) -> str:
        """The median with its spread; why there is none, or – if nothing was to be measured."""
        if figure.run in self.failed.get(gateway, {}):
            return "failed"
        values = self.values(figure, gateway)
        if not values:
            return "–"
        shown = f"{statistics.median(values):,.{figure.digits}f}"
        if len(values) == 1:
            return shown
        low, high = (f"{value:,.{figure.digits}f}" for value in (min(values), max(values)))
        return f"{shown} ({low}–{high})"

    def table(self) -> str:
        """The table in Markdown, what speaks against it, and how it was made."""
        figures = [figure for figure in FIGURES if figure.run in self.calibrations]
        head = ["", *self.titles.values(), "the machine meanwhile"]
        lines = [_row(head), _row(["---"] * len(head))]
        for figure in figures:
            cells = [self.cell(figure, gateway) for gateway in self.titles]
            machine = median_of(self.calibrations[figure.run]).words()
            lines.append(_row([figure.title, *cells, machine]))
        return "\n".join([*lines, "", *self._remarks()])

    def _remarks(self) -> Sequence[str]:
        every = [each for some in self.calibrations.values() for each in some]
        speeds = [each.loop_steps_s / 1e6 for each in every]
        remarks = [f"* missing: {name}: {why}" for name, why in self.missing.items()]
        for gateway, runs in self.failed.items():
            remarks += [
                f"* failed: {self.titles[gateway]}, {run}: {why}" for run, why in runs.items()
            ]
        for run, gateways in self.measured.items():
            for gateway, rounds in gateways.items():
                notes = sorted({note for measured in rounds for note in measured.notes})
                remarks += [f"* {self.titles[gateway]}, {run}: {note}" for note in notes]
        return [
            *remarks,
            f"* {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {self.machine}; each gateway has one "
            "processor to itself, all else shares the others",
            f"* the fixed loop made {min(speeds):.1f} to {max(speeds):.1f} million steps a second; "
            "calls are of an empty function on the product's Valkey",
            f"* load generator and fake upstream in {self.made_of}",
        ]

    def record(self, path: Path = RESULTS) -> None:
        """Append a row: the product's figures, and those of the others behind them."""
        every = [each for some in self.calibrations.values() for each in some]
        cells = [
            f"{datetime.now(UTC):%Y-%m-%d}",
            self.titles["product"].removeprefix("TokenProxy "),
            median_of(every).words(),
            *(self._recorded(figure) for figure in FIGURES),
        ]
        text = path.read_text() if path.exists() else _empty_results()
        path.write_text(f"{text}{_row(cells)}\n")

    def _recorded(self, figure: Figure) -> str:
        """The medians alone."""
        shown = []
        for gateway in self.titles:
            values = self.values(figure, gateway)
            if values and gateway != "product":
                shown.append(f"{gateway} {statistics.median(values):,.{figure.digits}f}")
        ours = self.values(figure, "product")
        own = f"**{statistics.median(ours):,.{figure.digits}f}**" if ours else "–"
        return f"{own} ({', '.join(shown)})" if shown else own


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _empty_results() -> str:
    head = ["date", "commit", "machine", *(figure.title for figure in FIGURES)]
    return (
        "# What was measured, by commit\n\n"
        "`make bench BENCH_RECORD=1` appends a row: the product's median, and in brackets what "
        "other gateways cost in the same rounds on the same machine. Compare within a row: "
        "machines differ by 3, and the same one differs from day to day; its calibration is in "
        "the third column.\n\n"
        f"{_row(head)}\n{_row(['---'] * len(head))}\n"
    )
