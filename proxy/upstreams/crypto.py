"""Encrypt our keys at the providers. To rotate PROVIDER_KEYS_SECRET, put a new key in front."""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

__all__ = ["InvalidToken", "decrypt_secret", "encrypt_secret"]


def encrypt_secret(secret: str) -> bytes:
    """Encrypt a provider's key with the newest of PROVIDER_KEYS_SECRET."""
    return _fernet().encrypt(secret.encode())


def decrypt_secret(encrypted: bytes) -> str:
    """Decrypt a provider's key. Raises InvalidToken if none of PROVIDER_KEYS_SECRET made it."""
    return _fernet().decrypt(encrypted).decode()


def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.PROVIDER_KEYS_SECRETS])
