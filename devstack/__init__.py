"""Start, watch and stop everything that `make run` and `make test` need.

Neither this package nor the product imports the other. They share environment variables and
`var/run.env`.
"""
