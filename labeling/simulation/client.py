"""One person's view of the API: a token, a session, and the one error shape."""

from __future__ import annotations

import time
from typing import Any

import requests

TIMEOUT = 30.0  # seconds for one request
PATIENCE = 60.0  # seconds of a site that does not answer, or is busy, before giving up


class SiteUnreachable(Exception):
    """The site did not answer for PATIENCE seconds."""


class SiteRefusal(Exception):
    """The site answered with an error: its status, code and message."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(f"{status} {error.get('code')}: {error.get('message')}")
        self.status, self.error = status, error
        self.code = error.get("code", "")


class SiteClient:
    """Requests to one project's API as one person.

    A lost connection, 429 and 503 are tried again with the same body: submissions carry an idempotency
    key, so
    repeating one is safe.
    """

    def __init__(self, site: str, token: str, project: str) -> None:
        self.root = f"{site.rstrip('/')}/api/projects/{project}/"
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Token {token}"

    def get(self, path: str, **query: Any) -> Any:
        return self._send("GET", path, params=query)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._send("POST", path, json=body or {})

    def put(self, path: str, body: dict[str, Any]) -> Any:
        return self._send("PUT", path, json=body)

    def _send(self, method: str, path: str, **content: Any) -> Any:
        """The answer's JSON, None for 204. Raises SiteRefusal, SiteUnreachable."""
        give_up_at = time.monotonic() + PATIENCE
        while True:
            try:
                answer = self.session.request(method, self.root + path, timeout=TIMEOUT, **content)
            except (requests.ConnectionError, requests.Timeout) as error:
                wait, problem = 0.5, str(error)
            else:
                if answer.status_code not in (429, 503):
                    return self._read(answer)
                wait = min(5.0, float(answer.headers.get("Retry-After", 1)))
                problem = f"{answer.status_code} {answer.text[:200]}"
            if time.monotonic() + wait > give_up_at:
                raise SiteUnreachable(f"{method} {self.root}{path}: {problem}")
            time.sleep(wait)

    @staticmethod
    def _read(answer: requests.Response) -> Any:
        if answer.status_code == 204:
            return None
        try:
            body = answer.json()
        except ValueError:
            body = {"error": {"code": "not_json", "message": answer.text[:200]}}
        if answer.status_code >= 400:
            raise SiteRefusal(answer.status_code, body.get("error", {}))
        return body
