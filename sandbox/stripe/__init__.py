"""A Stripe emulator: a process of its own, reached over HTTP, never imported by the product."""
