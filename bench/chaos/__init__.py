"""`make chaos`: the real stack under load while its parts are killed, and a verdict on the money.

schedule      what will be struck and when, drawn from a seed
house         the stack: started under `victim`, restarted whenever something is killed
victim        a web process, worker or beat that dies at a named step of the code, on order
faults        strikes: signals, orders to victims, Redis and PostgreSQL taken away
customers     the load: streams, JSON answers, hang-ups, orders, refunds
probes        what is watched meanwhile: balances, and how long the service is away
evidence      what the books, the upstream, Stripe and the customers say afterwards
verdict       what of that contradicts itself
report        the tables
"""
