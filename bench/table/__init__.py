"""`make bench`: what a request and a chunk cost here and in other gateways. See README.md.

`rows` is the data: what is sent and what is shown of it. `gateways` start, `wire` sends and
answers, `machine` says what the figures are worth, `report` writes.
"""
