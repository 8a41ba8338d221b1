"""What keeps Redis and PostgreSQL one."""
