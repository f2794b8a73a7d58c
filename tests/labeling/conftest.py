import pytest


@pytest.fixture
def admin(client, cast):
    """The client, signed in as the project's admin."""
    client.force_login(cast.admin)
    return client
