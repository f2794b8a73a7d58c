"""Options and rules of the whole suite; fixtures are in tests/conftest.py."""

from __future__ import annotations

import os
from collections import Counter

import pytest

DATABASE_FIXTURES = {"db", "transactional_db", "django_db_setup", "live_site", "site_process", "redis_server"}
BROWSER_FIXTURES = {"playwright", "browser", "context", "page", "open_as"}
DATABASE_MARKS = {"django_db", "database", "redis"}
LONG_FOLDERS = {"rlhf", "training", "concurrency", "simulation", "commands"}


def pytest_addoption(parser):
    parser.addoption(
        "--database-part",
        action="store_true",
        help="only tests that touch the database, the cache or the broker (to repeat them on other engines)",
    )


def pytest_itemcollected(item):
    """Whatever opens a browser is marked so, also where its author forgot: `-m browser` chooses by it."""
    if BROWSER_FIXTURES & set(getattr(item, "fixturenames", ())):
        item.add_marker(pytest.mark.browser)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    # Browser tests last: Playwright's loop then runs in this thread, where Django's test client cannot work.
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)
    if "PYTEST_XDIST_WORKER" in os.environ:
        _long_files_first(items)
    if not config.getoption("--database-part"):
        return
    wanted = [item for item in items if _touches_database(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(wanted)])
    items[:] = wanted


def _long_files_first(items) -> None:
    """Workers take whole files in this order (--dist loadfile --no-loadscope-reorder): what starts processes
    or trains comes first, so that no worker has a long file left when the others are done."""
    count = Counter(item.path for item in items)
    long = {item.path for item in items if item.get_closest_marker("slow")}
    long |= {path for path in count if LONG_FOLDERS & set(path.parts)}
    items.sort(key=lambda item: (item.path not in long, -count[item.path], str(item.path)))


def _touches_database(item) -> bool:
    return bool(
        DATABASE_FIXTURES & set(getattr(item, "fixturenames", ()))
        or DATABASE_MARKS & {mark.name for mark in item.iter_markers()}
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """In CI nothing is skipped: a missing service or browser is a failure there, not a green dot."""
    report = yield
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which CI=true does not allow: {reason}"
    return report


def pytest_report_header(config):
    engine = os.environ.get("TEST_DATABASE", "sqlite")
    return f"annotate: database {engine}, redis {'yes' if os.environ.get('TEST_REDIS') == '1' else 'no'}"
