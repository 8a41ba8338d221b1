"""One well-behaved client beside every kind of hostile one: `make fairness`.

`families` is the data: what is sent, by how many, in which way. `hostile` sends it, in a process of
its own; `__main__` measures the other client meanwhile.
"""
