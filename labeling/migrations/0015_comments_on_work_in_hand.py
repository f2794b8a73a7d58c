"""Threads are about one person's work on one task, so that they can begin before it is submitted."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import OuterRef, Q, Subquery


def name_the_work(apps, schema_editor):
    threads = apps.get_model("labeling", "CommentThread").objects
    work = apps.get_model("labeling", "Submission").objects.filter(
        pk=OuterRef("submission_id"), task__isnull=False, annotator__isnull=False
    )
    threads.filter(
        submission__task__isnull=False, submission__annotator__isnull=False
    ).update(task_id=Subquery(work.values("task_id")[:1]), person_id=Subquery(work.values("annotator_id")[:1]))
    if schema_editor.connection.vendor == "postgresql":
        # Its checks of foreign keys wait for the end of the transaction, and no table changes under them.
        schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        schema_editor.execute("SET CONSTRAINTS ALL DEFERRED")


class Migration(migrations.Migration):

    dependencies = [
        ("labeling", "0014_written_prompts"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="commentthread",
            name="task",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="comment_threads",
                to="labeling.task",
            ),
        ),
        migrations.AddField(
            model_name="commentthread",
            name="person",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AlterField(
            model_name="commentthread",
            name="submission",
            field=models.OneToOneField(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="comment_thread",
                to="labeling.submission",
            ),
        ),
        migrations.RunPython(name_the_work, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="commentthread",
            constraint=models.UniqueConstraint(
                condition=Q(("task__isnull", False)), fields=("task", "person"), name="comment_thread_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="commentthread",
            constraint=models.CheckConstraint(
                condition=Q(
                    ("submission__isnull", False),
                    Q(("task__isnull", False), ("person__isnull", False)),
                    _connector="OR",
                ),
                name="comment_thread_has_subject",
            ),
        ),
    ]
