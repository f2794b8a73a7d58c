"""Who a token belongs to, in one query."""

from __future__ import annotations

from hmac import compare_digest

from drf_spectacular.contrib.knox_auth_token import KnoxTokenScheme
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from knox.crypto import hash_token
from knox.settings import CONSTANTS
from rest_framework.exceptions import AuthenticationFailed

from annotate.accounts.models import ApiToken
from annotate.prepared import Prepared

BY_KEY = Prepared(lambda key: ApiToken.objects.filter(token_key=key).select_related("user"), key=str)


class TokenAuthentication(KnoxTokenAuthentication):
    """knox's, which on every request also reads the person's other tokens to delete the expired ones of them.

    An expired token is refused here and stays: its owner sees it as expired on their profile, and revokes it
    there.
    """

    def authenticate_credentials(self, token: bytes):
        text = token.decode("utf-8", errors="replace")
        for found in BY_KEY.all(key=text[: CONSTANTS.TOKEN_KEY_LENGTH].replace("\0", "")):
            if not found.is_expired and self._is_right(text, found.digest):
                return self.validate_user(found)
        raise AuthenticationFailed("Invalid token.")

    @staticmethod
    def _is_right(text: str, digest: str) -> bool:
        try:
            return compare_digest(hash_token(text), digest)
        except (TypeError, ValueError):  # not in the form of a token
            return False


class TokenScheme(KnoxTokenScheme):
    """Tells the OpenAPI schema how to send one."""

    target_class = "annotate.api.authentication.TokenAuthentication"
    name = "knoxApiToken"
