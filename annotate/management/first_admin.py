"""What commands that serve the site say on the terminal: where, and who makes the first administrator."""

from __future__ import annotations

from django.db import connection

from annotate.accounts import setup_token
from annotate.accounts.models import User
from annotate.accounts.services import is_setup_open


def shown_host(host: str) -> str:
    """A host to connect to, for one to listen on."""
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - only compared with


def address_of(host: str, port: int) -> str:
    shown = shown_host(host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def invitation(address: str) -> list[str]:
    """Lines with the link that makes the first administrator; none where somebody has an account, or where
    the database has no tables yet (a migration later, `manage.py setup_link` says it)."""
    if User._meta.db_table not in connection.introspection.table_names() or not is_setup_open():
        return []
    return [
        "Nobody has an account yet. Make the first administrator with this link, good once:",
        f"    {address}/setup/?token={setup_token.ensure()}",
    ]
