"""docker-compose.yml starts with one command and ships no password; the script for its secrets works."""

from __future__ import annotations

import os
import re
import subprocess
import sys

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


def test_the_database_stops_after_those_who_save_into_it():
    # What merely waited for `migrate`, which has ended, has nothing to do with postgres when all is stopped.
    for name in ("web", "worker", "trainer", "beat"):
        assert {"postgres", "redis"} <= set(SERVICES[name]["depends_on"])


@pytest.mark.parametrize("name", ["postgres", "redis", "web"])
def test_what_others_wait_for_has_a_health_check(name):
    assert SERVICES[name]["healthcheck"]["test"]


def test_no_password_is_written_in_the_file():
    written = re.findall(r"(?i)(?:password|secret_key)\w*[ ]*[:=][ ]*(\S+)", TEXT)
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


def test_one_service_builds_the_image_that_all_of_ours_run():
    # Compose builds services side by side; two that end in one tag fail with "already exists".
    built = [name for name, service in SERVICES.items() if "build" in service]
    ours = {name for name, service in SERVICES.items() if service["image"] == "annotate:local"}
    assert built == ["migrate"]
    assert ours == {"migrate", "web", "worker", "trainer", "beat"}


def test_the_database_is_ready_only_where_it_listens_to_others():
    # The image first starts a server on its socket alone, to make the database, and stops it again.
    assert "-h 127.0.0.1" in SERVICES["postgres"]["healthcheck"]["test"][1]


def test_no_password_is_an_argument_of_a_health_check():
    # Arguments stand in the machine's list of processes.
    checks = [service["healthcheck"]["test"][1] for service in SERVICES.values() if "healthcheck" in service]
    assert not [check for check in checks if re.search(r"\s(-a|--pass|-W)\b", check)]


def test_nothing_that_stays_runs_as_root():
    # Ours by the image; postgres steps down by itself; redis only where no shell starts it.
    assert SERVICES["redis"]["user"] == "redis"
    assert {name for name, service in SERVICES.items() if service.get("user") == "root"} == {"secrets"}


def test_what_is_started_later_finds_the_secrets_as_the_services_do():
    # `docker compose exec` passes an entrypoint by: secrets put into the environment there are not seen,
    # and a command would quietly make a SQLite database of its own.
    made = {f"/run/annotate/{name}" for name in ("secret-key", "database-url", "redis-url")}
    for name in ("migrate", "web", "worker", "trainer", "beat"):
        environment = SERVICES[name]["environment"]
        assert {environment[f"{each}_FILE"] for each in ("SECRET_KEY", "DATABASE_URL", "REDIS_URL")} == made
        assert "entrypoint" not in SERVICES[name]


# What the file decides itself: where things lie, who listens where, and that nobody debugs in public.
NOT_FOR_COMPOSE = {"DEBUG", "DATA_DIR", "HOST", "SECRET_KEY", "DATABASE_URL", "REDIS_URL", "LOG_FORMAT"}


def test_every_setting_of_the_example_reaches_the_containers():
    names = set(re.findall(r"(?m)^# ([A-Z_]+)(?:=|\s{2,})", (ROOT / ".env.example").read_text()))
    assert len(names) > 20
    used = set(re.findall(r"\$\{([A-Z_]+)", TEXT)) | set(SERVICES["web"]["environment"])
    assert names - used - NOT_FOR_COMPOSE == set()


def test_web_processes_serve_with_the_limits_of_the_embedded_one():
    command = SERVICES["web"]["command"]
    assert command[command.index("--ws-max-size") + 1] == "65536"  # as in manage.py runserver
    assert "--no-access-log" in command  # our own line carries the request's id
    # Requests under way get their time before Docker kills.
    graceful = int(command[command.index("--timeout-graceful-shutdown") + 1])
    assert int(SERVICES["web"]["stop_grace_period"].removesuffix("s")) > graceful


@pytest.mark.parametrize("name", ["worker", "trainer"])
def test_workers_keep_to_themselves_as_the_embedded_ones_do(name):
    # Celery's gossip fails with an AttributeError when Redis comes back, and nothing here uses it.
    assert {"--without-gossip", "--without-mingle"} <= set(SERVICES[name]["command"])


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
    random = [first[name] for name in ("postgres-password", "redis-password", "secret-key")]
    assert set(first) == {"postgres-password", "redis-password", "secret-key", "database-url", "redis-url"}
    assert all(re.fullmatch(r"[0-9a-f]{64}", value) for value in random)
    assert len(set(random)) == 3
    assert make_secrets(tmp_path) == first


def test_addresses_fit_passwords_made_before_there_were_addresses(tmp_path):
    first = make_secrets(tmp_path)
    for name in ("database-url", "redis-url"):
        (tmp_path / name).unlink()
    assert make_secrets(tmp_path) == first


def test_the_application_gets_the_secrets_as_addresses(tmp_path):
    secrets = make_secrets(tmp_path)
    files = {
        name: path.replace("/run/annotate", str(tmp_path))
        for name, path in SERVICES["web"]["environment"].items()
        if name.endswith("_FILE")
    }
    code = (
        "from annotate import settings as s; d = s.DATABASES['default']\n"
        "print(s.SECRET_KEY, s.REDIS_URL, d['HOST'], d['PORT'], d['USER'], d['NAME'], d['PASSWORD'])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path / "data"), **files},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split() == [
        secrets["secret-key"],
        f"redis://:{secrets['redis-password']}@redis:6379/0",
        *("postgres", "5432", "annotate", "annotate", secrets["postgres-password"]),
    ]
