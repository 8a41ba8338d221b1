"""Commands to the wallet's Redis functions, without I/O: what to send and what a reply means.

Both clients, the web processes' asynchronous one and the sweeps' synchronous one, send these.
"""
