"""Where configuration comes from: the environment (or files it names), then `.env`, then `DATA_DIR/.env`.

Read by the settings, and by `manage.py` before the settings exist; so it imports no Django.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

import environ

# May also come from the file that NAME_FILE names, as container platforms hand out secrets.
SECRETS = ("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "EMAIL_URL")

# Commands that only read: they make no folder and no key.
ONLY_READ = ("prepare_data", "verify")
# Of those, the ones that need no site: they do without its key.
NO_SITE = ("prepare_data",)
_writes = True

BASE_DIR = Path(__file__).resolve().parent.parent


def data_dir() -> Path:
    """The folder everything we write lives in; created, private to its owner, unless we only read."""
    path = Path(os.environ.get("DATA_DIR") or BASE_DIR / "data").expanduser().resolve()
    make_folder(path, parents=True, mode=0o700)
    return path


def make_folder(path: Path, **how) -> None:
    """Unless we only read."""
    if _writes:
        path.mkdir(exist_ok=True, **how)


def prepare_for(command: str) -> None:
    """What `manage.py command` needs before there are settings: a SECRET_KEY, or that nothing is written."""
    global _writes
    if command not in ONLY_READ:
        ensure_secret_key()
        return
    _writes = False
    load_environment()
    if command in NO_SITE and not os.environ.get("SECRET_KEY"):
        os.environ["SECRET_KEY"] = secrets.token_urlsafe(50)  # signs nothing, and goes with this process


def read_secret(variable: str, file: Path) -> str:
    """What the file holds. A missing or empty one stops us: we must not go on with another database."""
    try:
        value = file.read_text().strip()
    except OSError as error:
        raise RuntimeError(f"{variable} names {file}, which cannot be read: {error.strerror}") from error
    if not value:
        raise RuntimeError(f"{variable} names {file}, which is empty")
    return value


def load_environment() -> environ.Env:
    """Fill os.environ from the `.env` files without overriding what is set, and return a reader."""
    # An empty variable means "not set": compose files pass `SECRET_KEY=` for an unset one.
    for name in SECRETS:
        if os.environ.get(name) == "":
            del os.environ[name]
        if name not in os.environ and (file := os.environ.get(f"{name}_FILE")):
            os.environ[name] = read_secret(f"{name}_FILE", Path(file))
    environ.Env.read_env(BASE_DIR / ".env", overwrite=False)
    environ.Env.read_env(data_dir() / ".env", overwrite=False)
    return environ.Env()


def ensure_secret_key() -> bool:
    """Write a random SECRET_KEY into DATA_DIR/.env where none is set; True if one was written.

    Safe when several processes start at once: the file is complete before it gets its name, and only one
    process can link it there; the others read the winner's.
    """
    load_environment()
    if os.environ.get("SECRET_KEY"):
        return False
    target = data_dir() / ".env"
    line = f"SECRET_KEY='{secrets.token_urlsafe(50)}'\n"
    if target.exists():
        descriptor = os.open(target, os.O_WRONLY | os.O_APPEND)
        with os.fdopen(descriptor, "w") as file:
            file.write("\n" + line)
    else:
        temporary = target.with_name(f".env.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(
                "# Made on first start. Keep it private, and keep it: it signs sessions and links.\n" + line
            )
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, target)
        except FileExistsError:
            load_environment()
            return False
        finally:
            temporary.unlink()
    print(f"Wrote a new SECRET_KEY into {target}", file=sys.stderr)
    load_environment()
    return True
