"""Credits that nobody paid for: redeem codes and the welcome."""
