"""Check that the books add up. Reports; repairs nothing."""
