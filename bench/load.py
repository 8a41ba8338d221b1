"""A mixed load on the API: answers, streams, clients that hang up, models that fail.

    python -m bench.load --url http://127.0.0.1:8000 --key tp_live_… --requests 2000 \
        --concurrency 32 --seed 1 --hang-up 0.1 --faults

Which requests are sent depends on the options and the seed alone. Answers are steered by
directives that the upstream emulator reads (`sandbox/upstream/README.md`); another upstream takes
them for text. `--faults` needs the emulator's fault models on sale: it names those that are not,
and the command that sells them.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import aiohttp

from bench.traffic import FAULTS, Ending, Load, Sent, run


def report(sent: Sequence[Sent], *, seconds: float) -> str:
    """Say in a few lines how a load went."""
    lines = [
        f"{len(sent):,} requests in {seconds:.1f} s, {len(sent) / seconds:,.0f} per second",
        "",
    ]
    lines += [f"  {count:>7,}  {ending}" for ending, count in _count(s.ending for s in sent)]
    codes = _count(f"{s.status} {s.error_code}" for s in sent if s.error_code)
    if codes:
        lines += ["", "Errors:"] + [f"  {count:>7,}  {code}" for code, count in codes]
    served = sorted(s.seconds * 1_000 for s in sent if s.ending is Ending.SERVED)
    if served:
        marks = [served[int(len(served) * share)] for share in (0.5, 0.95, 0.99)]
        lines += ["", "Served in ms, at the median, 95 % and 99 %: "]
        lines[-1] += ", ".join(f"{mark:.0f}" for mark in marks)
    return "\n".join(lines)


def _count(things: Iterable[Any]) -> list[tuple[Any, int]]:
    return Counter(things).most_common()


async def find_missing(load: Load) -> set[str]:
    """Return the models of a load that are not on sale. Raises aiohttp.ClientError."""
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        headers = {"authorization": f"Bearer {load.keys[0]}"}
        async with session.get(f"{load.urls[0]}/v1/models", headers=headers) as response:
            on_sale = {model["id"] for model in (await response.json())["data"]}
    return {*load.models, *load.faults} - on_sale


def parse(arguments: Sequence[str] | None = None) -> Load:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.load", description="Send a mixed load to the API."
    )
    parser.add_argument("--url", action="append", required=True, help="of a site; may be repeated")
    parser.add_argument("--key", action="append", required=True, help="API key; may be repeated")
    parser.add_argument("--requests", type=int, default=1_000)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hang-up", type=float, default=0.0, help="share of clients that leave")
    parser.add_argument("--model", action="append", help="gpt-4 unless given; may be repeated")
    parser.add_argument("--faults", action="store_true", help="also call models that fail")
    given = parser.parse_args(arguments)
    return Load(
        urls=[url.rstrip("/") for url in given.url],
        keys=given.key,
        requests=given.requests,
        concurrency=given.concurrency,
        seed=given.seed,
        hang_up=given.hang_up,
        models=given.model or ["gpt-4"],
        faults=FAULTS if given.faults else (),
    )


def main() -> int:
    """Run from a shell. 1 if a request was cut off, 2 if the load can't be sent."""
    load = parse()
    try:
        missing = asyncio.run(find_missing(load))
    except aiohttp.ClientError as error:
        print(f"error: {load.urls[0]}: {error}", file=sys.stderr)
        return 2
    if missing:
        options = " ".join(f"--model {model}" for model in sorted(missing))
        print(
            f"error: not on sale: {', '.join(sorted(missing))}. To sell the emulator's:\n"
            "python manage.py add_provider faults --base-url $SANDBOX_UPSTREAM_URL "
            f"--api-key $SANDBOX_UPSTREAM_KEY --default-price {options}",
            file=sys.stderr,
        )
        return 2
    started = time.perf_counter()
    sent = asyncio.run(run(load))
    print(report(sent, seconds=time.perf_counter() - started))
    return any(each.ending is Ending.CUT for each in sent)


if __name__ == "__main__":
    sys.exit(main())
