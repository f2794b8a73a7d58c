"""docker-compose.yml starts with one command and ships no password; its two scripts do what it relies on."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
import yaml

from tests.architecture.source import ROOT

TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]


def test_it_has_every_part_of_the_site():
    assert {"secrets", "postgres", "redis", "migrate", "web", "worker", "trainer", "beat"} == set(SERVICES)


def test_nothing_serves_before_the_tables_are_there():
    for name in ("web", "worker", "trainer", "beat"):
        assert SERVICES[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"


@pytest.mark.parametrize("name", ["postgres", "redis", "web"])
def test_what_others_wait_for_has_a_health_check(name):
    assert SERVICES[name]["healthcheck"]["test"]


def test_no_password_is_written_in_the_file():
    written = re.findall(r"(?i)(?:password|secret_key)\w*\s*[:=]\s*(\S+)", TEXT)
    assert all(value.startswith(("/run/annotate/", "$")) for value in written), written


def test_only_the_web_is_published_and_only_on_this_machine_unless_asked():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"web": ["${BIND:-127.0.0.1}:${PORT:-8000}:8000"]}


def test_every_volume_named_is_declared():
    used = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if not volume.startswith((".", "/"))
    }
    assert used == set(COMPOSE["volumes"])


def test_everything_needs_no_variable_from_the_person_who_starts_it():
    assert not re.findall(r"\$\{[A-Z_]+(?::?\?[^}]*)?\}", TEXT)


def test_the_image_does_not_run_as_root():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    users = [line for line in lines if line.startswith("USER")]
    assert users and users[-1] != "USER root"


def make_secrets(folder) -> dict[str, str]:
    subprocess.run(
        [ROOT / "docker" / "make-secrets"], env={**os.environ, "SECRETS_DIR": str(folder)}, check=True
    )
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_secrets_are_random_long_and_kept(tmp_path):
    first = make_secrets(tmp_path)
    assert set(first) == {"postgres-password", "redis-password", "secret-key"}
    assert all(re.fullmatch(r"[0-9a-f]{64}", value) for value in first.values())
    assert len(set(first.values())) == 3
    assert make_secrets(tmp_path) == first


def test_the_application_gets_the_secrets_as_addresses(tmp_path):
    secrets = make_secrets(tmp_path)
    result = subprocess.run(
        [ROOT / "docker" / "with-secrets", "env"],
        env={"PATH": os.environ["PATH"], "SECRETS_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    values = dict(line.split("=", 1) for line in result.stdout.splitlines())
    assert values["SECRET_KEY"] == secrets["secret-key"]
    assert (
        values["DATABASE_URL"] == f"postgres://annotate:{secrets['postgres-password']}@postgres:5432/annotate"
    )
    assert values["REDIS_URL"] == f"redis://:{secrets['redis-password']}@redis:6379/0"
