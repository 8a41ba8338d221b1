"""What a customer agreed to when a balance tops itself up, and the card saved for it."""
