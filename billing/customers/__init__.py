"""Who pays, as Stripe knows them: one Customer for each wallet's owner."""
