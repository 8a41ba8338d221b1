"""Start, watch and stop everything that `make run` and `make test` need.

Nothing of the product is imported here, and the product imports nothing from here: the two meet
in environment variables and in `var/run.env`.
"""
