"""How dates look where Django writes them, such as at the staff desk."""
