"""Monthly statements of a wallet, as PDF and as CSV."""
