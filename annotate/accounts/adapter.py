from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.internal.ratelimit import get_ip


class AccountAdapter(DefaultAccountAdapter):
    """Accounts come from invitations and administrators, never from an open form."""

    def _get_login_attempts_cache_key(self, request, **credentials) -> str:
        """Wrong passwords count by account and address of the network: a stranger elsewhere who guesses locks
        themselves out, not the person whose account it is.
        """
        return f"{get_ip(request)}:{super()._get_login_attempts_cache_key(request, **credentials)}"

    def is_open_for_signup(self, request) -> bool:
        return False
