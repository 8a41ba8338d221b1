"""Credits that nobody paid for."""
