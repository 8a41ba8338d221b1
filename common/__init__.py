"""What several apps share. It imports none of them."""
