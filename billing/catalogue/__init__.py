"""What is on sale, and what it costs."""
