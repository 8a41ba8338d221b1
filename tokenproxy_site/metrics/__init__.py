"""Metrics for Prometheus, at `GET /metrics` of every web process. A scrape asks no database.

| module | what it tells | where it is counted |
|---|---|---|
| `web.py` | requests, calls, circuits, pools | in this process' memory |
| `sweeps.py` | the workers' sweeps | by every worker, in the cache |
| `snapshot.py` | the present state of the money and of what waits | by a sweep, in the cache |

The figures of sweeps and of the snapshot are the same from every web process: a scraper of several
takes the maximum.
"""
