"""Try every order in which an order's events may reach us, with duplicates and losses.

What happens next depends on the stage at Stripe and on our rows, and on nothing else. So each
state is gone on from once, whatever way led to it, and a few dozen of them stand for every
sequence there is. `count_sequences` says how many that are.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial

from tests.billing.payments.order_world import OrderWorld, put_back
from tests.billing.payments.stories import PAID, Story

State = tuple[int, bool, str]
TWICE = 2


@dataclass
class Explorer:
    """Visits each state of a world once, and ends in every one in which nothing more happens."""

    world: OrderWorld
    seen: set[State] = field(default_factory=set)
    steps: int = 0
    ends: int = 0

    def explore(self) -> None:
        self._visit(0, is_spent=False)

    def _visit(self, stage: int, *, is_spent: bool) -> None:
        state = (stage, is_spent, self.world.digest())
        if state in self.seen:
            return
        self.seen.add(state)
        if stage == len(self.world.film.stages) - 1:
            self._end(stage)
        else:
            self._visit(stage + 1, is_spent=is_spent)
        for act in self._acts(stage):
            self._try(stage, act, is_spent=is_spent)
        if self.world.story.spends and not is_spent:
            self._try(stage, self.world.spend, is_spent=True)

    def _acts(self, stage: int) -> Iterator[Callable[[], object]]:
        letters = self.world.letters(stage)
        for letter in letters:
            yield partial(self.world.hear, letter)
        if PAID not in letters:
            # Elsewhere it is what that event does: `fulfil_checkout`.
            yield self.world.return_page
        yield self.world.work

    def _try(self, stage: int, act: Callable[[], object], *, is_spent: bool) -> None:
        self.world.projector.at = stage
        self.steps += 1
        with put_back():
            # Who had nothing to spend may spend later.
            if act() is not False:
                self._visit(stage, is_spent=is_spent)

    def _end(self, stage: int) -> None:
        """Whatever is still to come is lost: the sweeps must do without."""
        self.world.projector.at = stage
        self.ends += 1
        with put_back():
            self.world.catch_up()
            self.world.check_end()


def count_sequences(story: Story) -> int:
    """Count the sequences of a story: each event after its cause, never, once or twice."""
    counts = [len(kinds) for kinds in story.events]

    @cache
    def count(stage: int, left: tuple[int, ...]) -> int:
        total = 1 if stage == len(counts) else count(stage + 1, (*left, *[TWICE] * counts[stage]))
        for at, times in enumerate(left):
            if times:
                total += count(stage, (*left[:at], times - 1, *left[at + 1 :]))
        return total

    return count(0, ())
