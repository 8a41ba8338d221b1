"""Pages for people: the hosted Checkout page, receipts and the control page."""
