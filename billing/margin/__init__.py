"""What requests brought in and what they cost us, for staff."""
