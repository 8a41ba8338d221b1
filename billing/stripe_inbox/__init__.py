"""What Stripe tells us, what it forgot to tell, and what we ask it later."""
