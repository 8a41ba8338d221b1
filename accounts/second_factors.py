"""The second step of logging in: how allauth keeps its secrets and names this site."""

from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings

from common.encryption import decrypt_secret, encrypt_secret


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Keeps secrets encrypted with the keys of PROVIDER_KEYS_SECRET: the newest one encrypts."""

    def encrypt(self, text: str) -> str:
        return encrypt_secret(text).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return decrypt_secret(encrypted_text.encode())

    def _get_site_name(self) -> str:
        return str(settings.SITE_NAME)
