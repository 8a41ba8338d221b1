"""Wallets in Redis: the function library, what calls it, and the journal beside it."""
