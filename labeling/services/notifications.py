"""Reading one's notifications. They are written by `activity.notify`."""

from __future__ import annotations

from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme

from annotate.errors import NotFound
from labeling.models import Notification


def mark_all_read(*, user) -> int:
    """Number of notifications that had been unread."""
    return Notification.objects.filter(user=user).unread().update(read_at=timezone.now())


def open_notification(*, user, pk: int) -> str:
    """Mark one's notification as read; its site-relative path ("" where it leads nowhere). Raises
    NotFound.
    """
    notification = Notification.objects.filter(user=user, pk=pk).first()
    if notification is None:
        raise NotFound("There is no such notification.")
    if notification.read_at is None:
        notification.read_at = timezone.now()
        notification.save(update_fields=["read_at"])
    # Only ever a page of this site, whatever was stored.
    return notification.path if url_has_allowed_host_and_scheme(notification.path, allowed_hosts=None) else ""
