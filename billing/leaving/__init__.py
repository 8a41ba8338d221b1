"""Leave with one's data, or for good."""
