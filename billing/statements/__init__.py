"""What happened to a balance in a month."""
