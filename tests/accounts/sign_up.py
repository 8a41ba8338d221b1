"""What everybody types who signs up, and what they are mailed."""

import re

PASSWORD = "correct horse battery"
LINK = re.compile(r"http://\S+?(/accounts/\S+)")
