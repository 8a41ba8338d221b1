"""A balance's month, as a PDF and as a table."""
