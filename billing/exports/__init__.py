"""Lists of the desk as files, written by a worker."""
