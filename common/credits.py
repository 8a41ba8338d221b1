"""The most credits that a wallet, a grant, a cap or a threshold may have.

Redis counts in thousandths of a credit and exactly to 2^53, which leaves room for this many nine
times over; PostgreSQL's bigint holds a million times as much.
"""

MAX_CREDITS = 1_000_000_000_000
