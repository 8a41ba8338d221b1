"""What keeps Redis and PostgreSQL in agreement."""
