"""Forms as versions: what a project's settings said of flags, scores, margins, ties and the rationale becomes
version 1 of its forms, to which work in hand, drafts and people's judgments are pinned.
"""

import hashlib
import json

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

COMPLETION_FLAGS = [
    {"key": "missed_instruction", "label": "Did not follow the instruction"},
    {"key": "invented_facts", "label": "Made-up facts"},
    {"key": "harmful", "label": "Harmful advice"},
    {"key": "repetitive", "label": "Repeats itself"},
    {"key": "impolite", "label": "Impolite"},
]
PROMPT_FLAGS = [
    {"key": "unclear", "label": "Unclear"},
    {"key": "unsafe", "label": "Unsafe"},
    {"key": "personal_data", "label": "Personal data"},
    {"key": "outside_knowledge", "label": "Outside my knowledge"},
]
SCALE = {"lowest": 1, "highest": 7, "low_label": "worst", "high_label": "best", "step_labels": {}}
MOVED = (
    "require_scores",
    "ask_margins",
    "require_rationale",
    "allow_ties",
    "completion_flags",
    "prompt_flags",
)
MOST_FLAGS = 100


def name_layouts(apps, schema_editor):
    """Batches had no layout: it follows from their kind."""
    apps.get_model("labeling", "Batch").objects.filter(kind="demonstration").update(layout="demonstration")


def publish_first_versions(apps, schema_editor):
    for project in apps.get_model("labeling", "Project").objects.iterator():
        old = project.settings_json or {}
        for layout, definition in definitions_of(old).items():
            version = publish(apps, project, layout, definition)
            pin(apps, project, layout, version)
        kept = {name: value for name, value in old.items() if name not in MOVED}
        if kept != old:
            type(project).objects.filter(pk=project.pk).update(settings_json=kept)


def definitions_of(old):
    """{layout: definition} of what the settings said; what they did not say was the default."""
    prompt_flags = clean(old.get("prompt_flags", PROMPT_FLAGS))
    ranked = {
        "scale": SCALE,
        "allow_ties": old.get("allow_ties", True),
        "rationale": "required" if old.get("require_rationale") else "offered",
        "prompt_flags": prompt_flags,
        "questions": [],
    }
    return {
        "demonstration": {"prompt_flags": prompt_flags, "questions": []},
        "ranking": ranked
        | {
            "scores": "required" if old.get("require_scores", True) else "offered",
            "ask_margins": old.get("ask_margins", False),
            "completion_flags": clean(old.get("completion_flags", COMPLETION_FLAGS)),
        },
        "pairwise": ranked | {"scores": "hidden", "completion_flags": []},
    }


def clean(flags):
    """Each key once, and nothing that the editor would refuse."""
    kept = {}
    for flag in flags:
        key, label = ("".join(c for c in flag[name] if c >= " ").strip() for name in ("key", "label"))
        if key and label and len(key) <= 80 and key not in kept:
            kept[key] = {"key": key, "label": label[:300].strip()}
    return list(kept.values())[:MOST_FLAGS]


def publish(apps, project, layout, definition):
    form = apps.get_model("labeling", "Form").objects.create(project_id=project.pk, layout=layout)
    text = json.dumps(definition, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return apps.get_model("labeling", "FormVersion").objects.create(
        form=form,
        layout=layout,
        number=1,
        definition_json=definition,
        change_summary="What the project's settings said.",
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def pin(apps, project, layout, version):
    """Work that was handed out or done so far was handed out or done under this."""
    if layout == "pairwise":
        return
    model = apps.get_model("labeling", "Demonstration" if layout == "demonstration" else "Ranking")
    done = model.objects.filter(submission__project_id=project.pk, submission__annotator__isnull=False)
    done.update(form_version=version)
    slots = apps.get_model("labeling", "Assignment").objects.filter(project_id=project.pk, kind=layout)
    slots.filter(annotator__isnull=False).update(form_version=version)
    drafts = apps.get_model("labeling", "Draft").objects
    drafts.filter(task__project_id=project.pk, task__kind=layout).update(form_version=version)


def back_to_settings(apps, schema_editor):
    versions = apps.get_model("labeling", "FormVersion").objects.order_by("number")
    for project in apps.get_model("labeling", "Project").objects.iterator():
        says = {each.layout: each.definition_json for each in versions.filter(form__project_id=project.pk)}
        ranking = says["ranking"]
        old = {
            "require_scores": ranking["scores"] == "required",
            "ask_margins": ranking["ask_margins"],
            "require_rationale": ranking["rationale"] == "required",
            "allow_ties": ranking["allow_ties"],
            "completion_flags": ranking["completion_flags"],
            "prompt_flags": says["demonstration"]["prompt_flags"],
        }
        type(project).objects.filter(pk=project.pk).update(settings_json={**project.settings_json, **old})


class Migration(migrations.Migration):
    dependencies = [
        ("labeling", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Form",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "layout",
                    models.CharField(
                        choices=[
                            ("demonstration", "Demonstration"),
                            ("ranking", "Ranking"),
                            ("pairwise", "Pairwise"),
                        ],
                        max_length=16,
                    ),
                ),
                ("draft_json", models.JSONField(blank=True, null=True)),
                ("draft_revision", models.PositiveIntegerField(default=0)),
                ("draft_updated_at", models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name="FormVersion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("definition_json", models.JSONField()),
                ("change_summary", models.CharField(blank=True, max_length=300)),
                ("sha256", models.CharField(max_length=64)),
                ("published_at", models.DateTimeField(auto_now_add=True)),
                (
                    "layout",
                    models.CharField(
                        choices=[
                            ("demonstration", "Demonstration"),
                            ("ranking", "Ranking"),
                            ("pairwise", "Pairwise"),
                        ],
                        max_length=16,
                    ),
                ),
            ],
            options={
                "ordering": ["-number"],
            },
        ),
        migrations.AddField(
            model_name="batch",
            name="layout",
            field=models.CharField(
                choices=[
                    ("demonstration", "Demonstration"),
                    ("ranking", "Ranking"),
                    ("pairwise", "Pairwise"),
                ],
                default="ranking",
                max_length=16,
            ),
        ),
        migrations.AddField(
            model_name="demonstration",
            name="answers",
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.AddField(
            model_name="ranking",
            name="answers",
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.RunPython(name_layouts, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="batch",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "demonstration"), ("layout", "demonstration")),
                    models.Q(("kind", "ranking"), ("layout__in", ["ranking", "pairwise"])),
                    _connector="OR",
                ),
                name="batch_layout_fits_kind",
            ),
        ),
        migrations.AddField(
            model_name="form",
            name="draft_updated_by",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="form",
            name="project",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="forms", to="labeling.project"
            ),
        ),
        migrations.AddField(
            model_name="formversion",
            name="form",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="versions", to="labeling.form"
            ),
        ),
        migrations.AddField(
            model_name="formversion",
            name="published_by",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="assignment",
            name="form_version",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="labeling.formversion",
            ),
        ),
        migrations.AddField(
            model_name="demonstration",
            name="form_version",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="%(class)ss",
                to="labeling.formversion",
            ),
        ),
        migrations.AddField(
            model_name="draft",
            name="form_version",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="labeling.formversion",
            ),
        ),
        migrations.AddField(
            model_name="ranking",
            name="form_version",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="%(class)ss",
                to="labeling.formversion",
            ),
        ),
        migrations.AddConstraint(
            model_name="form",
            constraint=models.UniqueConstraint(fields=("project", "layout"), name="form_once_per_layout"),
        ),
        migrations.AddConstraint(
            model_name="formversion",
            constraint=models.UniqueConstraint(fields=("form", "number"), name="form_version_number_once"),
        ),
        migrations.AddConstraint(
            model_name="formversion",
            constraint=models.CheckConstraint(
                condition=models.Q(("number__gte", 1)), name="form_version_from_one"
            ),
        ),
        migrations.RunPython(publish_first_versions, back_to_settings),
    ]
