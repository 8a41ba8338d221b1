"""What several apps share. It knows none of them."""
