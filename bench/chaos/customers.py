"""The load: programs that call the API in every way, and people who buy and ask for refunds."""

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

REQUEST_TIMEOUT_S = 30.0
# Between two requests of one program.
PAUSE_S = (0.05, 0.35)
BUY_PAUSE_S = (2.0, 6.0)
# Of what is bought, this much is given back in part or whole.
REFUND_SHARE = 0.35
CSRF = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')

GOOD_MODELS = {
    # Millicredits per prompt, cached prompt and completion token.
    "gpt-4o": [1_000, 500, 4_000],
    "chaos-odd": [333, 77, 1_999],
    "chaos-40tps": [1_000, 1_000, 1_000],
}
BAD_MODELS = {
    name: [1_000, 1_000, 1_000]
    for name in (
        "fault-cut-5",
        "fault-error-event-4",
        "fault-500",
        "fault-refuse",
        "fault-no-usage",
        "fault-string-usage",
        "fault-slow-first-byte-1",
        "fault-byte-chunks",
    )
}


@dataclass(slots=True)
class Seen:
    """One request as its customer saw it."""

    way: str
    model: str
    wallet_id: int
    # What became of it: complete, refused, broken, hung up, or how the connection failed.
    outcome: str = "unanswered"
    status: int | None = None
    request_id: str | None = None
    error_code: str | None = None
    charged_credits: int | None = None
    usage: dict[str, int] | None = None


@dataclass
class Account:
    """A customer of the shop."""

    email: str
    password: str
    secret: str
    wallet_id: int


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


class Program:
    """A customer's program: one request after another, each in another way."""

    def __init__(
        self, crowd: Crowd, session: aiohttp.ClientSession, account: Account, number: int
    ) -> None:
        self._crowd = crowd
        self._session = session
        self._account = account
        self._chance = random.Random(f"{crowd.seed}-program-{number}")
        self._ways: list[tuple[str, int, Callable[[Seen], Awaitable[None]]]] = [
            ("json", 40, self._ask),
            ("stream", 35, self._listen),
            ("json hang-up", 8, self._ask_and_leave),
            ("stream hang-up", 17, self._listen_and_leave),
        ]

    async def run(self) -> None:
        """Call until the crowd leaves."""
        while not self._crowd.is_leaving:
            [(way, _, act)] = self._chance.choices(
                self._ways, [share for _, share, _ in self._ways]
            )
            seen = Seen(way, self._choose_model(), self._account.wallet_id)
            self._crowd.requests.append(seen)
            try:
                await act(seen)
            except (aiohttp.ClientError, TimeoutError) as error:
                seen.outcome = f"lost ({type(error).__name__})"
            await asyncio.sleep(self._chance.uniform(*PAUSE_S))

    def _choose_model(self) -> str:
        bad = self._chance.random() < 0.12
        return self._chance.choice(sorted(BAD_MODELS if bad else GOOD_MODELS))

    def _post(self, seen: Seen, *, stream: bool) -> Any:
        words = self._chance.randint(3, 50)
        body: dict[str, Any] = {
            "model": seen.model,
            "messages": [{"role": "user", "content": f"say {words} words"}],
        }
        if self._chance.random() < 0.7:
            body["max_tokens"] = self._chance.choice([20, 60, 120])
        if stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        return self._session.post(
            f"{self._chance.choice(self._crowd.web_urls)}/v1/chat/completions",
            json=body,
            headers={"Authorization": f"Bearer {self._account.secret}"},
        )

    async def _ask(self, seen: Seen) -> None:
        async with self._post(seen, stream=False) as response:
            note_head(seen, response)
            body = await response.json(content_type=None)
            if response.status == 200:
                seen.outcome = "complete"
                seen.usage = body.get("usage")
            else:
                note_refusal(seen, body)

    async def _ask_and_leave(self, seen: Seen) -> None:
        try:
            async with asyncio.timeout(self._chance.uniform(0.005, 0.2)):
                await self._ask(seen)
        except TimeoutError:
            seen.outcome = "hung up"

    async def _listen(self, seen: Seen, leave_after: int | None = None) -> None:
        async with self._post(seen, stream=True) as response:
            note_head(seen, response)
            if response.status != 200:
                note_refusal(seen, await response.json(content_type=None))
                return
            seen.outcome = "cut"
            events = 0
            async for line in response.content:
                if line.startswith(b"data: "):
                    note_event(seen, line[6:].strip())
                    events += 1
                if leave_after is not None and events >= leave_after:
                    seen.outcome = "hung up"
                    return

    async def _listen_and_leave(self, seen: Seen) -> None:
        await self._listen(seen, leave_after=self._chance.randint(1, 15))


def note_head(seen: Seen, response: aiohttp.ClientResponse) -> None:
    seen.status = response.status
    seen.request_id = response.headers.get("x-request-id")
    charged = response.headers.get("x-tokenproxy-credits-charged")
    seen.charged_credits = int(charged) if charged is not None else None


def note_refusal(seen: Seen, body: Any) -> None:
    seen.outcome = "refused"
    seen.error_code = str((body.get("error") or {}).get("code")) if isinstance(body, dict) else "?"


def note_event(seen: Seen, data: bytes) -> None:
    """Follow a stream: its usage, an error in it, its end."""
    if data == b"[DONE]":
        seen.outcome = "complete"
        return
    event = json.loads(data)
    if event.get("error"):
        seen.outcome = "broken"
        seen.error_code = str(event["error"].get("code"))
    elif event.get("usage"):
        seen.usage = event["usage"]


class Buyer:
    """A person with a browser: buys packs and asks for money back."""

    def __init__(self, crowd: Crowd, account: Account, number: int) -> None:
        self._crowd = crowd
        self._account = account
        self._chance = random.Random(f"{crowd.seed}-buyer-{number}")

    async def run(self) -> None:
        """Log in, then buy until the crowd leaves."""
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=jar) as browser:
            await self._until_it_works("log in", lambda: self._log_in(browser))
            while not self._crowd.is_leaving:
                await self._until_it_works("buy", lambda: self._buy(browser))
                await asyncio.sleep(self._chance.uniform(*BUY_PAUSE_S))

    async def _until_it_works(self, what: str, act: Callable[[], Awaitable[None]]) -> None:
        """People try again when a page does not come."""
        while not self._crowd.is_leaving:
            try:
                await act()
            except (aiohttp.ClientError, TimeoutError, PageProblem) as error:
                self._crowd.checkouts[f"{what}: {type(error).__name__}"] += 1
                await asyncio.sleep(0.5)
            else:
                return

    async def _log_in(self, browser: aiohttp.ClientSession) -> None:
        url = f"{self._web()}/accounts/login/"
        form = {"login": self._account.email, "password": self._account.password}
        async with await self._submit(browser, url, form) as response:
            if response.status != 302:
                raise PageProblem(f"log-in answered {response.status}")

    async def _buy(self, browser: aiohttp.ClientSession) -> None:
        url = f"{self._web()}/billing/checkout/{self._crowd.pack_slug}/"
        async with await self._submit(browser, url, {}) as response:
            session_id = response.headers.get("location", "").rpartition("/c/pay/")[2]
        if not session_id.startswith("cs_"):
            raise PageProblem(f"checkout answered {response.status}")
        # Noted before: if the answer is lost, it may have been paid all the same.
        self._crowd.paid_sessions.append(session_id)
        pay = f"{self._crowd.stripe_url}/sandbox/checkout/{session_id}/pay"
        async with browser.post(pay, json={"card": "4242424242424242"}) as response:
            response.raise_for_status()
        self._crowd.checkouts["paid"] += 1
        if self._chance.random() < 0.5:
            await self._come_back(browser, session_id)
        if self._chance.random() < REFUND_SHARE:
            await self._ask_for_refund(browser, session_id)

    async def _come_back(self, browser: aiohttp.ClientSession, session_id: str) -> None:
        url = f"{self._web()}/billing/return/?session_id={session_id}"
        try:
            async with browser.get(url) as response:
                await response.read()
        except (aiohttp.ClientError, TimeoutError):
            # The webhook and the sweep are enough.
            self._crowd.checkouts["return page did not come"] += 1

    async def _ask_for_refund(self, browser: aiohttp.ClientSession, session_id: str) -> None:
        await asyncio.sleep(self._chance.uniform(0, 2))
        keyed = {"Authorization": f"Bearer {self._crowd.stripe_key}"}
        api = f"{self._crowd.stripe_url}/v1"
        async with browser.get(f"{api}/checkout/sessions/{session_id}", headers=keyed) as response:
            session = await response.json()
        form = {"payment_intent": session["payment_intent"]}
        if self._chance.random() < 0.6:
            form["amount"] = str(self._chance.randint(1, session["amount_total"]))
        async with browser.post(f"{api}/refunds", data=form, headers=keyed) as response:
            response.raise_for_status()
        self._crowd.refunded.append(session_id)
        self._crowd.checkouts["refunded"] += 1

    async def _submit(
        self, browser: aiohttp.ClientSession, url: str, form: dict[str, str]
    ) -> aiohttp.ClientResponse:
        """Open a page with a form and send it, as a browser would."""
        async with browser.get(url) as page:
            found = CSRF.search(await page.text())
        if found is None:
            raise PageProblem(f"{url} has no form ({page.status})")
        sent = {**form, "csrfmiddlewaretoken": found[1]}
        return await browser.post(url, data=sent, allow_redirects=False)

    def _web(self) -> str:
        return self._chance.choice(self._crowd.web_urls)


class PageProblem(Exception):
    """A page that is not what a person needs."""
