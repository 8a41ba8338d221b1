"""How long the pages of the desk and of the heaviest customer take, on the books of the settings.

    python -m bench.pages [--rounds 5] [--slowest 10] [--only TEXT] [--zone Europe/Berlin]

For a database that `manage.py make_history` has filled. Every list of the desk is asked for, with
each of its filters, orders and a search of each kind, then a row's own page, the margins, and what
a customer's dashboard links to. Django answers in this process, so what is measured is the server's
time without the network. All is rolled back: nothing of it stays. It prints 50th and 95th
percentiles, and the plans of the slowest statements. On a busy machine clocks tell of its other
work, too: the processor's time of this process, and the blocks of a plan, do not.
"""

import argparse
import os
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import unescape
from http import HTTPStatus
from importlib import import_module
from itertools import islice
from typing import Any
from urllib.parse import urljoin, urlsplit

import django

DESK, DASHBOARD = "/admin/", "/dashboard/"
LIMIT_MS = 50
# Links that lead to a file, end the session, or are none of the site's.
LEFT_OUT = re.compile(r"logout|/jsi18n/|/add/|/delete/|/do/|export|\.csv|\.pdf|^mailto:")
HREF = re.compile(r'href="([^"]+)"')
# So many addresses of a dashboard, which links to pages of months and requests without end.
MOST_LINKS = 150
LINKS_OF_A_PAGE = 12


@dataclass(slots=True)
class Timed:
    """One address: how long each answer took, and its slowest statement."""

    url: str
    status: int = 0
    took_ms: list[float] = field(default_factory=list)
    # Of those, what statements took, and how many there were.
    database_ms: list[float] = field(default_factory=list)
    statements: int = 0
    # What this process worked.
    processor_ms: list[float] = field(default_factory=list)
    slowest: tuple[float, str, Any] = (0.0, "", None)

    def percentile(self, share: float) -> float:
        ranked = sorted(self.took_ms)
        return ranked[min(len(ranked) - 1, int(share * len(ranked)))]

    def note(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        """Time a statement of Django's."""
        began_at = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            took = (time.perf_counter() - began_at) * 1_000
            self.database_ms[-1] += took
            self.statements += 1
            if took > self.slowest[0]:
                self.slowest = (took, sql, params)


def measure(client: Any, url: str, rounds: int) -> tuple[Timed, str]:
    """Ask for a page, once to warm up. Return its times and what it says."""
    from django.db import connection

    timed = Timed(url)
    page = ""
    for number in range(rounds + 1):
        timed.database_ms.append(0.0)
        timed.statements = 0
        began_at, worked = time.perf_counter(), time.process_time()
        with connection.execute_wrapper(timed.note):
            answer = client.get(url)
            page = "" if answer.streaming else answer.content.decode(errors="replace")
        took = (time.perf_counter() - began_at) * 1_000
        timed.status = answer.status_code
        if number:
            timed.took_ms.append(took)
            timed.processor_ms.append((time.process_time() - worked) * 1_000)
        else:
            timed.slowest = (0.0, "", None)
            timed.database_ms.clear()
    return timed, page


def links_of(page: str, url: str, below: str) -> Iterator[str]:
    """Yield the addresses below a path that a page links to, each once."""
    seen = set()
    for href in HREF.findall(page):
        target = urlsplit(urljoin(url, unescape(href)))
        found = f"{target.path}?{target.query}" if target.query else target.path
        if target.path.startswith(below) and not LEFT_OUT.search(found) and found not in seen:
            seen.add(found)
            yield found


def walk_desk(ask: Callable[[str], str], words: list[str]) -> None:
    """Ask for the desk's first page, every list with its links and searches, and a row of each."""
    from django.contrib import admin
    from django.urls import reverse

    ask(DESK)
    for model, page in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        url = reverse(f"{name}_changelist")
        shown = ask(url)
        for link in islice((each for each in links_of(shown, url, url) if "?" in each), 30):
            ask(link)
        rows = [each for each in links_of(shown, url, url) if each.endswith("/change/")]
        for row in rows[:1] + rows[-1:]:
            ask(row)
        if page.search_fields:
            for word in words:
                ask(f"{url}?q={word}")
    for by in ("day", "model", "provider", "customer", "key"):
        for days in (7, 90):
            ask(f"{reverse('admin:margin')}?by={by}&days={days}")
    ask(reverse("admin:proxy_health"))


def walk_dashboard(ask: Callable[[str], str]) -> None:
    """Ask for the dashboard and what it links to, breadth first."""
    waiting, seen = [DASHBOARD], {DASHBOARD}
    while waiting and len(seen) < MOST_LINKS:
        url = waiting.pop(0)
        shown = ask(url)
        fresh = [each for each in links_of(shown, url, DASHBOARD) if each not in seen]
        waiting += fresh[:LINKS_OF_A_PAGE]
        seen.update(fresh[:LINKS_OF_A_PAGE])


def explain(timed: Timed) -> str:
    """Return the plan of a page's slowest statement."""
    from django.db import connection, transaction

    took, sql, params = timed.slowest
    if not sql.lstrip().upper().startswith("SELECT"):
        return f"{took:.0f} ms  {sql[:200]}"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {sql}", params)
        plan = "\n".join(f"    {line}" for (line,) in cursor.fetchall())
    return f"{took:.0f} ms  {sql[:1_500]}\n{plan}"


def heaviest() -> Any:
    """Return the wallet with the most requests."""
    from django.db.models import Sum

    from billing.models import UsageRollUp, Wallet

    rows = UsageRollUp.objects.values("wallet").annotate(asked=Sum("requests")).order_by("-asked")
    first = rows.first()
    if first is None:
        sys.exit("Nobody has asked for anything: run manage.py make_history first.")
    return Wallet.objects.select_related("team__person").get(pk=first["wallet"])


def report(part: str, measured: list[Timed], slowest: int) -> None:
    """Print a part's figures and its slowest pages, with plans."""
    every = sorted(took for each in measured for took in each.took_ms)
    worked = sorted(took for each in measured for took in each.processor_ms)
    over = [each for each in measured if each.percentile(0.95) > LIMIT_MS]
    # Also what led elsewhere: it was not the page that took so long.
    failed = [each for each in measured if each.status != HTTPStatus.OK]
    print(
        f"\n{part}: {len(measured)} pages, p50 {statistics.median(every):.0f} ms,"
        f" p95 {every[int(0.95 * len(every))]:.0f} ms, most {every[-1]:.0f} ms;"
        f" of ours p95 {worked[int(0.95 * len(worked))]:.0f} ms;"
        f" {len(over)} above {LIMIT_MS} ms; {len(failed)} failed"
    )
    for each in failed[:slowest]:
        print(f"  not shown: {each.status}  {each.url[:110]}")
    ranked = sorted(measured, key=lambda each: each.percentile(0.5), reverse=True)
    for each in ranked[:slowest]:
        print(
            f"  {each.percentile(0.5):6.0f} {each.percentile(0.95):6.0f} ms,"
            f" {statistics.median(each.database_ms):6.0f} of PostgreSQL"
            f" in {each.statements:3} statements,"
            f" {statistics.median(each.processor_ms):6.0f} of ours"
            f"  {each.status}  {each.url[:110]}"
        )
    for each in [each for each in ranked if each in over][:slowest]:
        print(f"\n{each.url}\n{explain(each)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slowest", type=int, default=10)
    parser.add_argument("--only", default="", help="Only pages whose address contains this.")
    parser.add_argument("--zone", default="", help="The time zone that the customer chose.")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tokenproxy_site.settings")
    django.setup()

    from django.conf import settings
    from django.db import transaction

    from tokenproxy_site import memory

    # As a web process does, which would otherwise look for cycles in all its modules meanwhile.
    import_module(settings.ROOT_URLCONF)
    memory.settle()
    with transaction.atomic():
        run(options.rounds, options.slowest, options.only, options.zone)
        transaction.set_rollback(True)


def run(rounds: int, slowest: int, only: str, zone: str) -> None:
    """Measure both parts and print them."""
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.test import Client

    from accounts.reauthentication import SIGNED_IN_AT
    from billing.models import UsageRecord

    settings.ALLOWED_HOSTS = ["testserver"]
    # Whoever has none is led away from every page of the desk.
    settings.STAFF_SECOND_FACTOR = False
    wallet = heaviest()
    get_user_model().objects.filter(pk=wallet.team.person.pk).update(time_zone=zone)
    record = UsageRecord.objects.filter(wallet=wallet).latest("pk")
    staff = get_user_model().objects.create_superuser("bench@example.com")
    words = [wallet.team.person.email[:4] + "@", wallet.team.person.email, record.request_id, "x y"]
    for part, user in ((DESK, staff), (DASHBOARD, wallet.team.person)):
        client = Client(raise_request_exception=False)
        client.force_login(user)
        session = client.session
        session[SIGNED_IN_AT] = time.time()
        session.save()
        measured: list[Timed] = []

        def ask(url: str, client: Any = client, measured: list[Timed] = measured) -> str:
            if only not in url:
                return ""
            timed, page = measure(client, url, rounds)
            measured.append(timed)
            return page

        if part == DESK:
            walk_desk(ask, words)
        else:
            walk_dashboard(ask)
        if measured:
            report(part, measured, slowest)


if __name__ == "__main__":
    main()
