from django.db import migrations

CHUNK = 500


def make_revisions(apps, schema_editor):
    """Each recipe that a dataset had by its versions, in their order, and the one that it has now."""
    Dataset = apps.get_model("labeling", "Dataset")
    RecipeRevision = apps.get_model("labeling", "RecipeRevision")
    DatasetVersion = apps.get_model("labeling", "DatasetVersion")
    for dataset in Dataset.objects.filter(revisions=None).order_by("pk").iterator(CHUNK):
        versions = list(
            DatasetVersion.objects.filter(dataset=dataset).order_by("number").values_list(
                "pk", "parent_id", "recipe", "created_by_id", "created_at"
            )
        )
        found = {}  # version -> its revision
        newest = None
        made = [*versions, (None, None, dataset.recipe, dataset.created_by_id, dataset.created_at)]
        for pk, parent, recipe, who, when in made:
            if parent is not None:
                found[pk] = found.get(parent)
                continue
            if newest is None or newest.recipe != recipe:
                number = 1 if newest is None else newest.number + 1
                newest = RecipeRevision.objects.create(
                    dataset=dataset, number=number, recipe=recipe, created_by_id=who
                )
                RecipeRevision.objects.filter(pk=newest.pk).update(created_at=when)
            found[pk] = newest
        for pk, revision in found.items():
            if pk is not None and revision is not None:
                DatasetVersion.objects.filter(pk=pk).update(recipe_revision=revision)


class Migration(migrations.Migration):

    dependencies = [
        ("labeling", "0026_recipe_revisions"),
    ]

    operations = [
        migrations.RunPython(make_revisions, migrations.RunPython.noop),
    ]
