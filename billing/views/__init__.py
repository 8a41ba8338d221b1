"""What browsers see: each view parses, calls one service, answers."""
