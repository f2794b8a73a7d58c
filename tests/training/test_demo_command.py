"""The demo does not meddle with a site that runs already, and says what it found."""

import pytest
from django.core.management import CommandError, call_command

from annotate.accounts.models import User

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_second_demo_on_a_port_in_use_changes_no_password(live_site):
    looker = User.objects.create_user("demo-admin", "demo-admin@example.org", "the first one's password")
    with pytest.raises(CommandError, match="runs at http://127.0.0.1"):
        call_command("demo", port=live_site.port)
    looker.refresh_from_db()
    assert looker.check_password("the first one's password")
