"""What a suite calls, by environment."""

import os

BASE_URL = os.environ["CONFORMANCE_BASE_URL"]
API_KEY = os.environ["CONFORMANCE_API_KEY"]
# Empty where the API under test has no balances.
BROKE_API_KEY = os.environ.get("CONFORMANCE_BROKE_API_KEY", "")
CHAT_MODEL = "gpt-4o"
EMBEDDING_MODEL = "text-embedding-3-small"
