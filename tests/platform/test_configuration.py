"""Settings from the environment: a secret is made once, refused when missing, and production is clean."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.architecture.source import ROOT


def run(*arguments: str, data: Path, **environment: str) -> subprocess.CompletedProcess:
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**kept, "DATA_DIR": str(data), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


SHOW_KEY = (
    "from annotate.environment import ensure_secret_key as e; import os; e(); print(os.environ['SECRET_KEY'])"
)


def test_processes_that_start_together_agree_on_one_secret(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: run("-c", SHOW_KEY, data=tmp_path), range(4)))
    keys = {result.stdout.strip() for result in results}
    assert len(keys) == 1 and len(keys.pop()) >= 50, results


def test_the_secret_is_readable_by_its_owner_only(tmp_path):
    run("-c", SHOW_KEY, data=tmp_path)
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_an_existing_file_keeps_its_lines_when_the_secret_is_added(tmp_path):
    (tmp_path / ".env").write_text("PORT=8123")
    run("-c", SHOW_KEY, data=tmp_path)
    assert "PORT=8123\n" in (tmp_path / ".env").read_text()


def test_without_a_secret_the_site_refuses_and_says_what_to_do(tmp_path):
    result = run("-c", "import annotate.settings", data=tmp_path)
    assert result.returncode != 0
    assert "SECRET_KEY is not set" in result.stderr


def test_the_environment_wins_over_the_file(tmp_path):
    (tmp_path / ".env").write_text("SECRET_KEY=from-file\n")
    result = run("-c", SHOW_KEY, data=tmp_path, SECRET_KEY="from-environment")
    assert result.stdout.strip() == "from-environment"


def test_a_secret_may_lie_in_a_file_of_its_own(tmp_path):
    (tmp_path / "key").write_text("from-a-file\n")
    named = {"SECRET_KEY_FILE": str(tmp_path / "key")}
    assert run("-c", SHOW_KEY, data=tmp_path, **named).stdout == "from-a-file\n"
    assert run("-c", SHOW_KEY, data=tmp_path, SECRET_KEY="plain", **named).stdout == "plain\n"
    assert not (tmp_path / ".env").exists()


def test_a_secret_that_cannot_be_read_stops_the_site(tmp_path):
    # Going on would mean another key, or another database: an empty one.
    (tmp_path / "empty").write_text("\n")
    for name, file, why in (
        ("SECRET_KEY", "empty", "is empty"),
        ("DATABASE_URL", "missing", "cannot be read"),
    ):
        result = run("-c", SHOW_KEY, data=tmp_path, **{f"{name}_FILE": str(tmp_path / file)})
        assert result.returncode != 0
        assert f"{name}_FILE names {tmp_path / file}, which {why}" in result.stderr
    assert not (tmp_path / ".env").exists()


def test_an_empty_address_of_the_site_means_the_default(tmp_path):
    code = "from annotate import settings; print(settings.SITE_URL)"
    result = run("-c", code, data=tmp_path, SECRET_KEY="x", SITE_URL="", PORT="8123")
    assert result.stdout == "http://127.0.0.1:8123\n", result.stderr


def test_a_production_configuration_passes_the_deployment_checks(tmp_path):
    environment = {"HTTPS": "1", "ALLOWED_HOSTS": "annotate.example.org"}
    result = run("manage.py", "check", "--deploy", "--fail-level", "WARNING", data=tmp_path, **environment)
    assert result.returncode == 0, result.stderr


def test_sqlite_is_durable_and_writers_queue():
    code = (
        "import django; django.setup()\n"
        "from django.db import connection as c\n"
        "k = c.cursor()\n"
        "for name in ('journal_mode', 'synchronous', 'foreign_keys'):\n"
        "    print(k.execute('PRAGMA ' + name).fetchone()[0])\n"
        "print(c.transaction_mode)"
    )
    data = Path(os.environ["DATA_DIR"]) / "pragmas"
    data.mkdir(exist_ok=True)
    result = run("-c", code, data=data, SECRET_KEY="x", DJANGO_SETTINGS_MODULE="annotate.settings")
    assert result.stdout.split() == ["wal", "2", "1", "IMMEDIATE"], result.stderr


def test_no_migration_is_missing(tmp_path):
    result = run("manage.py", "makemigrations", "--check", "--dry-run", data=tmp_path)
    assert result.returncode == 0, result.stdout


def test_a_command_that_only_reads_files_writes_nothing_and_needs_no_site(tmp_path):
    file, data = tmp_path / "rows.jsonl", tmp_path / "data"
    file.write_text('{"prompt": "Why is the sky blue?", "completion": "Because."}\n')
    found = run("manage.py", "prepare_data", str(file), data=data)
    assert (found.returncode, "1 demonstrations" in found.stdout) == (0, True), found.stderr
    assert list(tmp_path.iterdir()) == [file]


def test_verify_writes_nothing_and_makes_up_no_key(tmp_path):
    data = tmp_path / "data"
    found = run("manage.py", "verify", data=data)
    assert found.returncode != 0 and "SECRET_KEY is not set" in found.stderr
    assert not data.exists()
