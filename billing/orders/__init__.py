"""An order, from its checkout to its refund."""
