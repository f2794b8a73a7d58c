"""WSGI, for tools that ask for it. Live pages then fall back to polling; serve ASGI where you can."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotate.settings")
application = get_wsgi_application()
