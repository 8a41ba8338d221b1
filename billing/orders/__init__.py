"""An order, from its checkout or its top-up to its refund."""
