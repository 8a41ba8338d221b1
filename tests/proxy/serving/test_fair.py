"""Long work is shared out fairly: one job of each owner, the owners in turn."""

import asyncio
import random
from collections import Counter

import pytest

from proxy.serving.fair import FairQueue


async def settle() -> None:
    """Let every task that can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_everybody_elses_next_job_comes_between_two_of_a_wallet() -> None:
    queue, done = FairQueue(1), []

    async def work(owner: str) -> None:
        async with queue.enter(owner):
            done.append(owner)
            await asyncio.sleep(0)

    await asyncio.gather(*(work(owner) for owner in ["a", "a", "a", "a", "b", "c", "b"]))

    assert done == ["a", "b", "c", "a", "b", "a", "a"]


@pytest.mark.parametrize("at_once", [1, 2, 3])
async def test_no_place_is_lost_or_given_twice_whoever_gives_up(at_once: int) -> None:
    dice = random.Random(at_once)
    queue = FairQueue(at_once)
    running: Counter[int] = Counter()
    most, finished = 0, 0

    async def work(owner: int) -> None:
        nonlocal most, finished
        async with queue.enter(owner):
            running[owner] += 1
            try:
                assert running[owner] == 1
                most = max(most, running.total())
                for _ in range(dice.randrange(3)):
                    await asyncio.sleep(0)
                finished += 1
            finally:
                running[owner] -= 1

    tasks = []
    for _ in range(2_000):
        tasks.append(asyncio.create_task(work(dice.randrange(5))))
        if dice.random() < 0.3:
            dice.choice(tasks).cancel()
        if dice.random() < 0.5:
            await asyncio.sleep(0)
    await asyncio.wait(tasks)

    failed = [task.exception() for task in tasks if not task.cancelled() and task.exception()]
    assert failed == []
    assert most == at_once
    assert finished > 1_000
    # All places are free again, for new owners at once.
    await asyncio.wait_for(asyncio.gather(*(queue.take(owner) for owner in range(at_once))), 1)


@pytest.mark.parametrize("is_cancelled_first", [True, False])
async def test_one_that_gives_up_around_its_turn_passes_it_on(*, is_cancelled_first: bool) -> None:
    queue = FairQueue(1)
    await queue.take("first")
    second = asyncio.create_task(queue.take("second"))
    third = asyncio.create_task(queue.take("third"))
    await settle()

    if is_cancelled_first:
        second.cancel()
    queue.leave("first")
    second.cancel()
    await settle()

    assert second.cancelled()
    assert third.done()
