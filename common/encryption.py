"""Encrypt what the database must not tell: our keys at providers, secrets of second factors.

To rotate PROVIDER_KEYS_SECRET, put a new key in front, run `reencrypt_secrets`, and take the old
one away.
"""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

__all__ = ["InvalidToken", "decrypt_secret", "encrypt_secret", "reencrypt_secret"]


def encrypt_secret(secret: str) -> bytes:
    """Encrypt with the newest key of PROVIDER_KEYS_SECRET."""
    return _ciphers().encrypt(secret.encode())


def decrypt_secret(encrypted: bytes) -> str:
    """Decrypt. Raises InvalidToken if none of PROVIDER_KEYS_SECRET made it."""
    return _ciphers().decrypt(encrypted).decode()


def reencrypt_secret(encrypted: bytes) -> bytes | None:
    """Return it as the newest key encrypts it; None if that key did. Raises InvalidToken."""
    try:
        Fernet(settings.PROVIDER_KEYS_SECRETS[0]).decrypt(encrypted)
    except InvalidToken:
        return _ciphers().rotate(encrypted)
    return None


def _ciphers() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.PROVIDER_KEYS_SECRETS])
