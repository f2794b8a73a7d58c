from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("labeling", "0019_import_uploads")]

    operations = [
        migrations.RemoveIndex(model_name="submission", name="submission_waiting_count"),
        migrations.AddIndex(
            model_name="submission",
            index=models.Index(
                condition=models.Q(("status", "awaiting_review")),
                fields=["project", "status", "review_reason", "annotator", "id", "prompt", "kind"],
                name="submission_waiting_count",
            ),
        ),
        migrations.AddIndex(
            model_name="ledgerday",
            index=models.Index(
                fields=["project", "user", "day", "work", "seconds", "pieces"], name="ledger_days_of_person"
            ),
        ),
        migrations.RemoveIndex(model_name="ledgerday", name="ledger_day_in_project"),
        migrations.AddIndex(
            model_name="auditevent",
            index=models.Index(fields=["project", "action", "-id"], name="audit_event_action"),
        ),
        migrations.AddIndex(
            model_name="draft",
            index=models.Index(
                condition=models.Q(("is_late", True)), fields=["updated_at", "id"], name="draft_late"
            ),
        ),
    ]
