"""A mail server that delivers nothing and shows on a page what it was given."""
