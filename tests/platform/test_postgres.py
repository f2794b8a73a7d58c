"""What connections to PostgreSQL are told."""

from __future__ import annotations

import pytest
from django.db import connection

from annotate.postgres import without_jit


@pytest.mark.django_db
@pytest.mark.database
def test_statements_are_not_compiled():
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SHOW jit")
            assert cursor.fetchone() == ("off",)
    else:
        without_jit(connection=connection)  # knows no such thing, and is not asked for it
