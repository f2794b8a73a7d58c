"""manage.py build_search_index: the index behind the search of lists, once PostgreSQL has pg_trgm."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from labeling.search_index import EXTENSION, build_search_index


class Command(BaseCommand):
    help = "Build the index behind the search of lists, if it is not there (PostgreSQL with pg_trgm)."

    def handle(self, *args, **options) -> None:
        outcome = build_search_index(connection)
        if outcome == "no extension":
            raise CommandError(f"There is no extension {EXTENSION} here, and it could not be made: no index.")
        self.stdout.write(f"The index behind the search of lists: {outcome}.")
