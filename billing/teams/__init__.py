"""What of a team touches keys, money and mail: inviting, leaving, removing, caps, closing."""
