"""Wiring only: settings, urls, asgi, celery, errors and the User model."""
