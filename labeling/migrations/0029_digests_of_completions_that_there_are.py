import hashlib

from django.db import migrations, transaction

CHUNK = 2_000


def fill(apps, schema_editor):
    """In batches that commit one by one: cut off, it goes on where it was."""
    Completion = apps.get_model("labeling", "Completion")
    connection = schema_editor.connection
    table = Completion._meta.db_table
    last = 0
    while True:
        rows = Completion.objects.filter(pk__gt=last, content_sha256="").order_by("pk")
        chunk = list(rows.values_list("pk", "text")[:CHUNK])
        if not chunk:
            return
        last = chunk[-1][0]
        digests = [
            (hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(), pk) for pk, text in chunk
        ]
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.executemany(f"UPDATE {table} SET content_sha256 = %s WHERE id = %s", digests)  # noqa: S608 - ours


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ("labeling", "0028_completion_digests"),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
