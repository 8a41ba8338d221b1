"""People with a browser: they buy packs and ask for their money back."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from bench.chaos.customers import Account, Crowd

PAGE_TIMEOUT_S = 30.0
BUY_PAUSE_S = (2.0, 6.0)
# Of what is bought, this much is given back in part or whole: by us at Stripe, or by its customer
# on the page of the order.
REFUND_SHARE = 0.3
RETURN_SHARE = 0.3
CSRF = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
ONCE = re.compile(r'name="once" value="([^"]+)"')
ORDER = re.compile(r"/dashboard/orders/[0-9a-f-]{36}/")


class Buyer:
    """A person with a browser: buys packs and asks for money back."""

    def __init__(self, crowd: Crowd, account: Account, number: int) -> None:
        self._crowd = crowd
        self._account = account
        self._chance = random.Random(f"{crowd.seed}-buyer-{number}")

    async def run(self) -> None:
        """Log in, then buy until the crowd leaves."""
        timeout = aiohttp.ClientTimeout(total=PAGE_TIMEOUT_S)
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
        elif self._chance.random() < RETURN_SHARE:
            await self._return_unused(browser)

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

    async def _return_unused(self, browser: aiohttp.ClientSession) -> None:
        """Ask for the money of the unused part of an order, if it has one, on the order's page."""
        try:
            async with browser.get(f"{self._web()}/dashboard/orders/") as page:
                orders = sorted(set(ORDER.findall(await page.text())))
            if not orders:
                raise PageProblem(f"the orders answered {page.status}")
            url = f"{self._web()}{self._chance.choice(orders)}refund/"
            async with await self._submit(browser, url, {}) as response:
                response.raise_for_status()
        except (aiohttp.ClientError, TimeoutError, PageProblem) as error:
            # Nobody buys once more because a return did not work.
            self._crowd.checkouts[f"return: {type(error).__name__}"] += 1
        else:
            self._crowd.checkouts["returned by the customer"] += 1

    async def _submit(
        self, browser: aiohttp.ClientSession, url: str, form: dict[str, str]
    ) -> aiohttp.ClientResponse:
        """Open a page with a form and send it, as a browser would."""
        async with browser.get(url) as page:
            text = await page.text()
        token, once = CSRF.search(text), ONCE.search(text)
        if token is None or (url.endswith("/refund/") and once is None):
            raise PageProblem(f"{url} has no form ({page.status})")
        sent = {**form, "csrfmiddlewaretoken": token[1]}
        if once is not None:
            sent["once"] = once[1]
        return await browser.post(url, data=sent, allow_redirects=False)

    def _web(self) -> str:
        return self._chance.choice(self._crowd.web_urls)


class PageProblem(Exception):
    """A page that is not what a person needs."""
