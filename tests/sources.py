"""The product's own source, for tests that look at all of it."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("accounts", "billing", "common", "proxy", "tokenproxy_site")

# Where the settings read one from the environment.
SETTING_READ = re.compile(
    r'get_(?:choice|text|url|redis_url|int|bool|list|fernet_keys|networks|shard_map)\(\s*"([A-Z_]+)"'
)


def product_files() -> Iterator[tuple[str, str]]:
    """Yield the path and text of each Python and Lua file of the product but its migrations."""
    for app in PRODUCT:
        for path in sorted((ROOT / app).rglob("*")):
            if path.suffix in {".py", ".lua"} and "migrations" not in path.parts:
                yield str(path.relative_to(ROOT)), path.read_text()
