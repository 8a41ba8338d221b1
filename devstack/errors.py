"""What the launcher tells its user, instead of a traceback."""


class LaunchError(Exception):
    """Something that the user can put right. Its text says what and how."""
