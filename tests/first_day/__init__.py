"""The first day of `docs/operations.md`, command by command, on a machine that has nothing yet."""
