"""What Stripe tells, and what it forgot to tell."""
