"""What every page of the staff desk is built from, whichever app it belongs to."""
