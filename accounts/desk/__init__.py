"""What the staff desk's pages are built from, in every app."""
