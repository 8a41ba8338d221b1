"""The documentation: pages written in Markdown, for people and for programs."""
