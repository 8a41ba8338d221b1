"""An OpenAI-compatible provider to test against: exact usage, repeatable answers, faults to order.

A process of its own (`python -m sandbox.upstream`). It knows nothing of the product, and everything
it serves is counted in a tally, so that what was billed can be compared with what was delivered.
"""
