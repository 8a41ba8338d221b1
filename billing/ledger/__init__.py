"""The book of record in PostgreSQL."""
