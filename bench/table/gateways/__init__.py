"""The gateways that are compared, each started with one processor to itself.

A new one is a module with a function like the others and a line in `GATEWAYS`.
"""

from bench.table.gateways import litellm, nginx, portkey, product
from bench.table.gateways.starting import Missing, Place, Running, Start

GATEWAYS: dict[str, Start] = {
    "nginx": nginx.start,
    "portkey": portkey.start,
    "litellm": litellm.start,
    "product": product.start,
}

__all__ = ["GATEWAYS", "Missing", "Place", "Running", "Start"]
