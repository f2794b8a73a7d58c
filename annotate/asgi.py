"""ASGI: HTTP to Django, WebSockets to Channels (only from our own hosts, with the session's user)."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotate.settings")

import django  # noqa: E402
from django.core.handlers.asgi import ASGIHandler  # noqa: E402

django.setup(set_prefix=False)  # loads the apps, which the imports below need

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402

from annotate.threads import SharedThreads  # noqa: E402
from training.routing import websocket_urlpatterns  # noqa: E402


class MeasuringHandler(ASGIHandler):
    """A body that comes in chunks has no Content-Length, and parsers take that for no body.

    Django has received all of it by now, so its length is known.
    """

    def create_request(self, scope, body_file):
        if not any(name == b"content-length" for name, _ in scope["headers"]):
            length = body_file.seek(0, os.SEEK_END)
            body_file.seek(0)
            if length:
                scope = {**scope, "headers": [*scope["headers"], (b"content-length", str(length).encode())]}
        return super().create_request(scope, body_file)


application = ProtocolTypeRouter(
    {
        "http": SharedThreads(MeasuringHandler()),
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)
