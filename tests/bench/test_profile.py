"""Samples of stacks become shares of modules."""

import pytest

from bench.profile import module_of, read_samples, share_out, table
from devstack.environment import ROOT

LOOP = "run (/usr/lib/python3.11/asyncio/runners.py:118)"
SERVE = f"serve ({ROOT}/proxy/serving/serve.py:40)"
SEND = "send (/x/.venv/lib/python3.11/site-packages/aiohttp/client.py:7)"
SAMPLES = [f"{LOOP};{SERVE};{SEND} 6", f"{LOOP};{SERVE} 3", f"{LOOP} 1", "", "not a sample"]


@pytest.mark.parametrize(
    ("frame", "module"),
    [
        (LOOP, "event loop (uvloop, sockets)"),
        (SERVE, "proxy.serving.serve"),
        (SEND, "aiohttp"),
        ("loads (/x/site-packages/six.py:1)", "six"),
        ("now (/usr/lib/python3.11/datetime.py:1)", "python: datetime"),
        ("__init__ (<string>:3)", "python: <string>"),
    ],
)
def test_a_frame_is_the_products_or_a_librarys_or_pythons(frame: str, module: str) -> None:
    assert module_of(frame) == module


def test_a_sample_is_laid_to_the_innermost_module_and_counted_for_its_callers() -> None:
    shares = {share.module: share for share in share_out(read_samples(SAMPLES))}

    assert shares["aiohttp"].own == shares["aiohttp"].total == 0.6
    assert (shares["proxy.serving.serve"].own, shares["proxy.serving.serve"].total) == (0.3, 0.9)
    assert shares["event loop (uvloop, sockets)"].total == 1


def test_the_table_divides_what_was_spent() -> None:
    shown = table(share_out(read_samples(SAMPLES)), spent=2.0, unit="CPU-ms").splitlines()

    assert shown[1].split() == ["aiohttp", "1.200", "60.0%", "60.0%"]
    assert shown[-1].split() == ["all", "others", "0.000", "0.0%"]
