"""The tables of a run."""

from collections import Counter
from collections.abc import Iterable
from statistics import median

from bench.chaos.customers import Crowd
from bench.chaos.evidence import Evidence
from bench.chaos.faults import Hit
from bench.chaos.house import Death
from bench.chaos.lost_answers import charged_cut, charged_unanswered
from bench.chaos.probes import BalanceSampler, Prober
from bench.chaos.verdict import Recovery


def show_faults(hits: list[Hit]) -> str:
    """Faults by kind, and how processes were killed."""
    kinds = Counter(hit.kind for hit in hits)
    ways = Counter(
        f"{hit.target.rstrip('0123456789')}: {hit.how}" for hit in hits if hit.kind.endswith("kill")
    )
    return table("Faults injected", kinds.items()) + table("Kills by step", sorted(ways.items()))


def show_requests(crowd: Crowd, evidence: Evidence) -> str:
    """Requests as customers saw them, and as they were booked."""
    outcomes = Counter(
        f"{seen.way}: {seen.outcome}"
        + (f" {seen.status} {seen.error_code}" if seen.outcome == "refused" else "")
        for seen in crowd.requests
    )
    replays = [seen for seen in crowd.requests if seen.replay_of]
    booked = Counter(f"{row['outcome']}, {row['source']}" for row in evidence.receipts.values())
    charged = sum(row["charged_credits"] for row in evidence.receipts.values())
    written_off = [row for row in evidence.receipts.values() if row["write_off_credits"]]
    within_hold = sum(row["target_credits"] <= row["held_credits"] for row in written_off)
    unanswered, cut = charged_unanswered(evidence), charged_cut(evidence)
    gone = Counter(seen.outcome for seen in crowd.requests if seen.request_id is None)
    # Without a connection nothing was sent.
    never_sent = sum(count for outcome, count in gone.items() if "Connector" in outcome)
    sums = {
        "requests sent by customers": len(crowd.requests),
        "accepted by the upstream": sum(row["is_accepted"] for row in evidence.served),
        "receipts": len(evidence.receipts),
        "answers of an earlier request, by Idempotency-Key": sum(
            seen.idempotency_key is not None for seen in replays
        ),
        "… that a retry joined without one": sum(seen.idempotency_key is None for seen in replays),
        "credits charged": charged,
        "requests given up before any answer": gone["hung up"],
        "requests lost before any answer": gone.total() - gone["hung up"] - never_sent,
        "… of both, how many have a receipt over 0": len(unanswered),
        "… credits charged for them": sum(row["charged_credits"] for row in unanswered),
        "receipts over 0 whose answer was lost on its way": len(cut),
        "receipts with a write-off": len(written_off),
        "… of a charge within its hold": within_hold,
        "credits written off": sum(row["write_off_credits"] for row in written_off),
    }
    return (
        table(f"Requests by outcome, {len(crowd.requests):,}", sorted(outcomes.items()))
        + table("Receipts by outcome", sorted(booked.items()))
        + table("Sums", sums.items())
    )


def show_orders(crowd: Crowd, evidence: Evidence) -> str:
    """What happened at the till."""
    states = Counter(f"orders {row['status']}" for row in evidence.orders)
    inbox = {f"inbox: {kind}": count for kind, count in evidence.inbox.items()}
    return table("Orders", [*sorted(crowd.checkouts.items()), *states.items(), *inbox.items()])


def show_recoveries(recoveries: list[Recovery]) -> str:
    """How long the service was away, by kind of fault."""
    title = "Back after a fault"
    lines = [
        "",
        f"{title:<24} {'n':>5} {'p50 s':>7} {'max s':>7} {'since the last hit, max s':>26}",
    ]
    for kind in sorted({recovery.hit.kind for recovery in recoveries}):
        own = [recovery for recovery in recoveries if recovery.hit.kind == kind]
        back = [recovery.seconds for recovery in own]
        since = [recovery.since_last_s for recovery in own]
        longest = spread(since).split()[2]
        lines.append(f"  {kind:<22} {spread(back)} {longest:>26}")
        if kind.startswith("web"):
            itself = [recovery.own_seconds for recovery in own]
            lines.append(f"  {'… that process itself':<22} {spread(itself)}")
    return "\n".join(lines) + "\n"


def spread(seconds: list[float | None]) -> str:
    """Number, median and maximum; those that never came are said so."""
    known = sorted(each for each in seconds if each is not None)
    if not known:
        return f"{len(seconds):>5} {'never':>7} {'never':>7}"
    never = f" never: {len(seconds) - len(known)}" if len(known) < len(seconds) else ""
    return f"{len(seconds):>5} {median(known):>7.2f} {known[-1]:>7.2f}{never}"


def show_watch(sampler: BalanceSampler, probers: list[Prober], deaths: list[Death]) -> str:
    """What was sampled, and who ended without having been killed."""
    figures = {
        "balances sampled": sampler.samples,
        "… while the wallets were closed or away": sampler.unanswered,
        "probes answered": sum(len(prober.served) for prober in probers),
        "probes not answered": sum(sum(prober.failures.values()) for prober in probers),
    }
    own = Counter(
        f"{death.role} ended by itself with {death.exit_code}"
        for death in deaths
        if not death.was_killed
    )
    return table("Watched", [*figures.items(), *sorted(own.items())])


def table(title: str, rows: Iterable[tuple[str, int]]) -> str:
    """A title and a number per line."""
    lines = ["", title, *(f"  {name:<62} {count:>10,}" for name, count in rows)]
    return "\n".join(lines) + "\n"
