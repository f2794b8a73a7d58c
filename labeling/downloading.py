"""Downloads at the edges, page and API alike: whole or in parts, or the export that is being written."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase

from annotate.ranges import serve_files

from .models import DatasetExport, DatasetVersion
from .services import background
from .services.download_files import Download, download_of_version


def send(request: HttpRequest, download: Download) -> HttpResponseBase:
    """`request` is Django's own, not DRF's."""
    return serve_files(
        request,
        download.paths,
        filename=download.filename,
        media_type=download.media_type,
        sha256=download.sha256,
        on_sent=lambda first: download.record(first_byte=first),
    )


def send_version(
    request: HttpRequest, *, version: DatasetVersion, format: str, split: str | None, acting_user
) -> HttpResponseBase | DatasetExport:
    """The answer, or what has to be waited for: it is being written by then, whoever runs the jobs."""
    found = download_of_version(version=version, format=format, split=split, acting_user=acting_user)
    if isinstance(found, DatasetExport):
        background.take_up_if_nobody_does(found)
        return found
    return send(request, found)
