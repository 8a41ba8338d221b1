"""Who calls: the API key in the Authorization header."""

from typing import NoReturn

from accounts.secrets import digest_of, is_well_formed
from proxy.exceptions import AuthenticationFailed
from proxy.keys import KeyCache, KeyFacts

SCHEME = "bearer"
HINT = (
    "Send your API key in the Authorization header (Authorization: Bearer YOUR_API_KEY); "
    "your keys are in the dashboard."
)


async def authenticate(authorization: str, keys: KeyCache) -> KeyFacts:
    """Return the key that a request was sent with. Raises AuthenticationFailed.

    A secret with a typo is refused by its checksum; only a well-formed one is looked up.
    """
    scheme, _, secret = authorization.partition(" ")
    secret = secret.strip()
    if not secret or scheme.lower() != SCHEME:
        _refuse("You didn't provide an API key.")
    facts = await keys.find(digest_of(secret)) if is_well_formed(secret) else None
    if facts is None:
        refuse_key()
    return facts


def refuse_key() -> NoReturn:
    """Refuse a key without saying whether it is unknown, revoked or expired."""
    _refuse("Incorrect API key provided.")


def _refuse(message: str) -> NoReturn:
    raise AuthenticationFailed(f"{message} {HINT}", headers={"WWW-Authenticate": "Bearer"})
