"""What tests in a browser share: the stage for one widget, and the cast of the live site."""

import pytest
from playwright.sync_api import expect

from tests.browser.stage import Stage
from tests.cast import make_cast

# Nobody waits longer than the page needs; but a loaded machine may need ten times what an idle one does.
expect.set_options(timeout=30_000)


@pytest.fixture
def stage():
    stage = Stage()
    yield stage
    stage.close()
    assert not stage.complaints


@pytest.fixture
def cast(live_site):
    return make_cast()
