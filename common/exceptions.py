"""The root of what the apps refuse."""


class DomainError(Exception):
    """Something that a service refuses. Its text is for whoever asked."""
