"""Settings of the test suite: the site's own, in a private folder, on the engines the environment names.

TEST_DATABASE=sqlite (default) or postgres; TEST_REDIS=1 adds a real Redis. Both servers come out of wheels,
are started once by the first process that reads this file, and are inherited by xdist workers and children.
"""

import os

from tests import servers

servers.prepare_environment()

from annotate.settings import *  # noqa: E402, F403
from annotate.settings import CACHES, DATA_DIR, DATABASES, REDIS_URL, STORAGES  # noqa: E402

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
STORAGES = {
    **STORAGES,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
if DATABASES["default"]["ENGINE"].endswith("sqlite"):
    # A file, not memory: threads, servers and child processes of a test open it too.
    name = f"test-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}.sqlite3"
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / name)}
    # 64 processes on a busy machine may queue for longer than people would: tested is that all is right.
    DATABASES["default"]["OPTIONS"]["timeout"] = 120
if REDIS_URL:
    # Each test clears the cache: a database of Redis for each of pytest's processes, or they would clear
    # each other's.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw-1").removeprefix("gw")
    CACHES["default"]["LOCATION"] = f"{REDIS_URL.rpartition('/')[0]}/{int(worker) + 1}"
