from django.db import migrations
from django.db.models import OuterRef, Subquery, Value
from django.db.models.functions import Coalesce


def fill(apps, schema_editor):
    """What the standing review of each decided submission says. Figures that counted otherwise are emptied:
    the next report, within minutes, says them anew."""
    Submission = apps.get_model("labeling", "Submission")
    Review = apps.get_model("labeling", "Review")
    Figure = apps.get_model("labeling", "Figure")
    standing = Review.objects.filter(
        submission=OuterRef("pk"), reopened_at=None, revision__lte=OuterRef("revision_count")
    ).order_by("-pk")
    decided = Submission.objects.filter(status__in=["accepted", "returned", "rejected"])
    said = Coalesce(Subquery(standing.values("decision")[:1]), Value(""))
    decided.filter(reviews__reopened_at=None, reviews__isnull=False).update(verdict=said)
    Figure.objects.update(accepted=0, decisions_by_day=[])


class Migration(migrations.Migration):

    dependencies = [
        ("labeling", "0032_acceptance_of_reviewed_work"),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
