"""The errors that the launcher shows to its user, instead of a traceback."""


class LaunchError(Exception):
    """A fault that the user can put right. Its text says what and how."""
