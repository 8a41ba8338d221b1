"""Whether the books add up. It reports and repairs nothing."""
