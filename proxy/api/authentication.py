"""Who calls: the API key in the Authorization header."""

from typing import NoReturn

from accounts.secrets import digest_of, is_well_formed
from proxy.errors import AuthenticationFailed, NetworkRefused
from proxy.http.client_address import client_address
from proxy.http.connection import ClientConnection
from proxy.serving.keys import KeyCache, KeyFacts

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


def is_from_allowed_network(key: KeyFacts, connection: ClientConnection) -> bool:
    """Tell whether a key may be used from where the request comes."""
    if not key.allowed_networks:
        return True
    return key.may_come_from(client_address(connection.scope))


def check_network(key: KeyFacts, connection: ClientConnection) -> None:
    """Refuse a key that may not be used from where the request comes. Raises NetworkRefused."""
    if not is_from_allowed_network(key, connection):
        address = client_address(connection.scope)
        raise NetworkRefused(
            f"This API key may not be used from your address ({address or 'unknown'}). "
            "Its owner chooses the allowed networks in the dashboard."
        )


async def refresh_key(keys: KeyCache, key: KeyFacts, connection: ClientConnection) -> KeyFacts:
    """Read a key anew that was changed meanwhile. Raises AuthenticationFailed, NetworkRefused."""
    facts = await keys.reload(key.digest) or refuse_key()
    check_network(facts, connection)
    return facts


def refuse_key() -> NoReturn:
    """Refuse a key without saying whether it is unknown, revoked or expired."""
    _refuse("Incorrect API key provided.")


def _refuse(message: str) -> NoReturn:
    raise AuthenticationFailed(f"{message} {HINT}", headers={"WWW-Authenticate": "Bearer"})
