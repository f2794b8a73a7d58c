"""Short secrets that the site must be able to read again, kept unreadable for whoever only has the database.

Encrypted (Fernet: AES-CBC with HMAC) under a key derived from SECRET_KEY; former keys read what they sealed.
"""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.crypto import salted_hmac


class Unreadable(Exception):
    """It was sealed under a SECRET_KEY that is known no more."""


def seal(text: str, *, salt: str) -> str:
    return _keys(salt).encrypt(text.encode()).decode()


def unseal(sealed: str, *, salt: str) -> str:
    try:
        return _keys(salt).decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise Unreadable("Sealed under another SECRET_KEY.") from error


def _keys(salt: str) -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet(
        [
            Fernet(
                base64.urlsafe_b64encode(salted_hmac(salt, "seal", secret=key, algorithm="sha256").digest())
            )
            for key in keys
        ]
    )
