"""Names that people give to things, fit to stand among other words."""

import re

# What turns the direction of all that follows it, also outside the name: Unicode's explicit
# formatting characters. https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters
DIRECTIONS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean_name(text: str) -> str:
    """Return a name without what turns directions, and with single spaces."""
    return " ".join(DIRECTIONS.sub("", text).split())
