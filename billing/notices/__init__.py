"""Mail to customers: written down in the transaction that causes it, and sent later."""
