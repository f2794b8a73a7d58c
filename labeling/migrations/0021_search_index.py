from django.db import migrations

from labeling.search_index import build_search_index, drop_search_index


def build(apps, schema_editor):
    build_search_index(schema_editor.connection)


def drop(apps, schema_editor):
    drop_search_index(schema_editor.connection)


class Migration(migrations.Migration):
    """On PostgreSQL only, and only where pg_trgm can be had: no model knows of the index."""

    atomic = False  # others read and write while it is built, which PostgreSQL does outside a transaction only

    dependencies = [("labeling", "0020_list_indexes")]

    operations = [migrations.RunPython(build, drop, elidable=False)]
