from django.db import migrations

CHUNK = 500


def make_revisions(apps, schema_editor):
    """The recipes that a dataset has had: as it was made, as the audit trail says that it was changed, and as
    its versions have it. Who wrote one that the trail does not tell of, nobody knows."""
    Dataset = apps.get_model("labeling", "Dataset")
    for dataset in Dataset.objects.filter(revisions=None).order_by("pk").iterator(CHUNK):
        _make_revisions_of(dataset, apps)


def _make_revisions_of(dataset, apps):
    DatasetVersion = apps.get_model("labeling", "DatasetVersion")
    changes = _changes_of(dataset, apps.get_model("labeling", "AuditEvent"))
    fields = ("created_at", "pk", "parent_id", "recipe")
    versions = list(DatasetVersion.objects.filter(dataset=dataset).order_by("number").values_list(*fields))
    own = [(when, pk, recipe) for when, pk, parent, recipe in versions if parent is None]
    history = _History(dataset, apps.get_model("labeling", "RecipeRevision"))
    known = [old for _when, old, _new, _who in changes] + [recipe for _when, _pk, recipe in own]
    history.add(known[0] if known else dataset.recipe, dataset.created_at, dataset.created_by_id)
    of_version = {}
    happened = [(when, True, change) for when, *change in changes]
    happened += [(when, False, version) for when, *version in own]
    for when, is_change, what in sorted(happened, key=lambda each: each[0]):
        if is_change:
            old, new, who = what
            history.add(old, when, None)
            history.add(new, when, who)
            continue
        pk, recipe = what
        # A freeze may have read its recipe a moment before the next one was saved.
        of_version[pk] = history.with_recipe(recipe) or history.add(recipe, when, None)
    history.add(dataset.recipe, history.made[-1].created_at, None)
    for _when, pk, parent, _recipe in versions:
        if parent is not None:
            of_version[pk] = of_version.get(parent)
        if of_version[pk] is not None:
            DatasetVersion.objects.filter(pk=pk).update(recipe_revision=of_version[pk])


def _changes_of(dataset, AuditEvent):
    """[(when, old recipe, new recipe, who)] as the trail has them."""
    events = AuditEvent.objects.filter(
        object_type="dataset", object_id=str(dataset.pk), action="dataset.recipe_changed"
    )
    return [
        (when, data["old"], data["new"], who)
        for when, data, who in events.order_by("pk").values_list("created_at", "data", "actor_id")
        if isinstance(data.get("old"), dict) and isinstance(data.get("new"), dict)
    ]


class _History:
    """The revisions of a dataset as they are made, none dated before the one before it."""

    def __init__(self, dataset, model):
        self.dataset, self.model, self.made = dataset, model, []

    def with_recipe(self, recipe):
        return next((each for each in reversed(self.made) if each.recipe == recipe), None)

    def add(self, recipe, when, who):
        """The newest revision, which is one more where it had another recipe."""
        if self.made and self.made[-1].recipe == recipe:
            return self.made[-1]
        when = max(when, self.made[-1].created_at) if self.made else when
        revision = self.model.objects.create(
            dataset=self.dataset, number=len(self.made) + 1, recipe=recipe, created_by_id=who
        )
        self.model.objects.filter(pk=revision.pk).update(created_at=when)  # it was set to now
        revision.created_at = when
        self.made.append(revision)
        return revision


class Migration(migrations.Migration):

    dependencies = [
        ("labeling", "0026_recipe_revisions"),
    ]

    operations = [
        migrations.RunPython(make_revisions, migrations.RunPython.noop),
    ]
