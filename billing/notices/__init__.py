"""Mail to customers: written down with its cause, sent later."""
