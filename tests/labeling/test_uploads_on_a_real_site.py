"""A server killed in the middle of an upload, and in the middle of an import: nothing acknowledged is lost,
nothing is half there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from django.conf import settings

from annotate.accounts.services import create_api_token
from labeling.models import ImportRecord, ImportStatus, ImportUpload, Prompt
from labeling.services import imports
from labeling.services.progress import Progress
from tests.cast import make_cast
from tests.site_process import ROOT, SiteProcess, database_url

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.serial, pytest.mark.database]

PIECE = 100_000


def ask(site, token, method, path, data=None, **headers):
    headers = {name.replace("_", "-"): str(value) for name, value in headers.items()}
    headers["Authorization"] = f"Token {token}"
    request = urllib.request.Request(site.url + path, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.loads(response.read() or b"{}")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")


def rows(count: int) -> bytes:
    return b"".join(b'{"prompt": "Question %d? %s"}\n' % (n, b"x" * 60) for n in range(count))


def test_a_server_killed_in_the_middle_of_an_upload_goes_on_where_it_stood(tmp_path):
    cast = make_cast()
    _, token = create_api_token(user=cast.admin, name="upload")
    data = rows(5_000)
    base = f"/api/projects/{cast.project.slug}/uploads/"
    site = SiteProcess(database_url(), tmp_path, DATA_DIR=str(settings.DATA_DIR))
    kinds = {"Content_Type": "application/json"}
    pieces = {"Content_Type": "application/offset+octet-stream"}
    site.start()
    try:
        new = json.dumps({"kind": "prompts", "filename": "rows.jsonl", "size_bytes": len(data)}).encode()
        status, upload = ask(site, token, "POST", base, new, **kinds)
        assert status == 201, upload
        url = f"{base}{upload['id']}/"
        status, answer = ask(site, token, "PATCH", url, data[:PIECE], Upload_Offset=0, **pieces)
        assert (status, answer["offset"]) == (200, PIECE)
        _kill_while_a_piece_arrives(site, token, url, data[PIECE : 2 * PIECE])
        site.start()
        status, answer = ask(site, token, "GET", url)
        assert (status, answer["offset"] in (PIECE, 2 * PIECE)) == (200, True)
        offset = answer["offset"]
        while status == 200:
            piece = data[offset : offset + PIECE]
            status, answer = ask(site, token, "PATCH", url, piece, Upload_Offset=offset, **pieces)
            offset += len(piece)
        assert (status, answer["size_bytes"]) == (201, len(data))
        confirm = f"/api/projects/{cast.project.slug}/imports/{answer['id']}/confirm/"
        status, done = ask(site, token, "POST", confirm, b"{}", **kinds)
        assert (status, done["rows_added"]) == (201, 5_000)
    finally:
        site.stop()
    assert not ImportUpload.objects.exists()
    assert Prompt.objects.count() == 5_000


def _kill_while_a_piece_arrives(site, token, url, piece) -> None:
    """Half of a piece is sent and its end withheld: the server is killed while it waits for it."""
    import socket

    with socket.create_connection(("127.0.0.1", site.port), timeout=30) as line:
        head = (
            f"PATCH {url} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Token {token}\r\n"
            f"Upload-Offset: {PIECE}\r\nContent-Length: {len(piece)}\r\n"
            "Content-Type: application/offset+octet-stream\r\n\r\n"
        )
        line.sendall(head.encode() + piece[: len(piece) // 2])
        time.sleep(0.5)
        site.kill()


KILLED = """
import os, signal, sys
import django
django.setup()
from labeling.models import ImportRecord
from labeling.services import import_rows, import_spool, imports
store = import_rows.RowStore.store
stored = []
def store_and_die(self, rows):
    store(self, rows)
    stored.append(len(rows))
    if len(stored) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
import_rows.RowStore.store = imports.RowStore.store = store_and_die
import_spool.CHUNK_ROWS = 1_000  # so that the rows come in several
imports.run_import(import_record=ImportRecord.objects.get(pk=int(sys.argv[1])))
"""


def test_a_process_killed_in_the_middle_of_an_import_leaves_nothing_and_it_is_brought_in_later(monkeypatch):
    import io

    cast = make_cast()
    record = imports.upload_file(
        project=cast.project, kind="prompts", file=io.BytesIO(rows(3_500)), filename="rows.jsonl",
        acting_user=cast.admin,
    )  # fmt: skip
    imports.confirm_import(import_record=record, acting_user=cast.admin)
    environment = {**os.environ, "DATABASE_URL": database_url(), "DATA_DIR": str(settings.DATA_DIR)}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(record.pk)], cwd=ROOT, env=environment, timeout=120, check=False
    )
    assert done.returncode == -signal.SIGKILL
    record.refresh_from_db()
    assert (record.status, Prompt.objects.count()) == (ImportStatus.RUNNING, 0)
    monkeypatch.setattr(Progress, "is_silent", lambda self: True)  # a minute later
    assert imports.revive_lost_imports() == 1
    record = imports.run_import(import_record=ImportRecord.objects.get(pk=record.pk))
    assert (record.status, record.rows_added, record.attempt) == (ImportStatus.SUCCEEDED, 3_500, 2)
    assert Prompt.objects.count() == 3_500
    assert not list(Path(settings.DATA_DIR, "imports").glob("*tmp*"))
