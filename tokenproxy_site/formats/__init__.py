"""How dates read where Django writes them, such as at the staff desk."""
