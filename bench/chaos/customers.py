"""The load: programs that call the API in every way, and people who buy and ask for refunds."""

import asyncio
import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

import aiohttp

from bench.chaos.buyers import Buyer
from bench.chaos.programs import Program
from bench.chaos.sightings import Seen

REQUEST_TIMEOUT_S = 30.0


@dataclass
class Account:
    """A customer of the shop."""

    email: str
    password: str
    secret: str
    wallet_id: int
    api_key_id: int
    # The most that its key, or who made it, may ever spend.
    cap_credits: int | None = None


@dataclass
class Crowd:
    """All customers of a run, and what they saw."""

    web_urls: list[str]
    stripe_url: str
    stripe_key: str
    pack_slug: str
    seed: int
    requests: list[Seen] = field(default_factory=list)
    checkouts: Counter[str] = field(default_factory=Counter)
    paid_sessions: list[str] = field(default_factory=list)
    refunded: list[str] = field(default_factory=list)
    is_leaving: bool = False

    async def run(self, accounts: list[Account], buyers: list[Account], *, programs: int) -> None:
        """Call and buy until told to leave; what was begun is finished."""
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            await asyncio.gather(
                *(
                    Program(self, session, accounts[number % len(accounts)], number).run()
                    for number in range(programs)
                ),
                *(Buyer(self, account, number).run() for number, account in enumerate(buyers)),
            )

    def save(self, path: Path) -> None:
        """Write down what was seen, a line per request."""
        path.write_text("".join(json.dumps(asdict(seen)) + "\n" for seen in self.requests))
