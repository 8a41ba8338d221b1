"""Where this process' figures for Prometheus are registered; `GET /metrics` shows them.

A label never has a value that customers choose or that a restart makes anew: each value is a series
that a scraper keeps.
"""

from prometheus_client import CollectorRegistry, disable_created_metrics

# Otherwise every counter is a second series, of the instant at which this process began it.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry()
