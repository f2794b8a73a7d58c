"""WSGI, for tools that ask for it. Live pages then fall back to polling; serve ASGI where you can."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotate.settings")
# Under ASGI files are served in front of Django (annotate.handlers); here there is no such place.
settings.MIDDLEWARE.insert(0, "servestatic.middleware.ServeStaticMiddleware")
application = get_wsgi_application()
