"""Headers of static files, which are answered before Django's SecurityMiddleware is asked."""

from __future__ import annotations

from typing import Any


def add_static_headers(headers: Any, path: str, url: str) -> None:
    """ServeStatic's hook: called once for each file."""
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
