"""Who may import whom (DESIGN, docs/architecture.md). Read from the source, so that nothing need run."""

import pytest

from tests.architecture.source import all_imports, is_in

PURE = (
    "labeling.preparation",
    "labeling.quality",
    "labeling.checks",
    "labeling.formats",
    "labeling.sample_project",
    "labeling.simulation",
)
RLHF = "training.rlhf"
EDGES = ("views", "api", "tasks", "consumers", "routing", "urls", "admin", "management", "templatetags")
WEB_FRAMEWORKS = ("django", "rest_framework", "celery", "channels", "annotate", "knox", "allauth")
HEAVY = ("torch", "transformers", "peft", "accelerate")
# What rooms may use of the wiring: errors, the doorbell, people, the page envelope and the app for tasks.
WIRING_FOR_ROOMS = (
    "annotate.outbound",
    "annotate.quoted_rows",
    "annotate.sealing",
    "annotate.errors",
    "annotate.postgres",
    "annotate.prepared",
    "annotate.words",
    "annotate.names",
    "annotate.signs",
    "annotate.forms",
    "annotate.doorbell",
    "annotate.durability",
    "annotate.accounts",
    "annotate.api.bodies",
    "annotate.api.filters",
    "annotate.api.keys",
    "annotate.pagination",
    "annotate.streaming",
    "annotate.ranges",
    "annotate.celery",
    "annotate.environment",
    "annotate.bench",
    "annotate.supervisor",
    "annotate.management.commands.up",
)
DOOR_TO_LABELING = (
    "services",
    "models",
    "permissions",
    "access",
    "listing",
    "list_pages",
    "context",
    "reports",
    "api.base",
)


def edges_of(room: str) -> tuple[str, ...]:
    return tuple(f"{room}.{edge}" for edge in EDGES)


def breaches(rule) -> list[str]:
    return [str(found) for found in all_imports() if rule(found.module, found.target)]


def test_labeling_never_imports_training():
    assert not breaches(lambda who, what: is_in(who, "labeling") and is_in(what, "training"))


@pytest.mark.parametrize("room", [*PURE, RLHF])
def test_pure_rooms_import_no_framework(room):
    assert not breaches(lambda who, what: is_in(who, room) and is_in(what, *WEB_FRAMEWORKS))


@pytest.mark.parametrize("room", PURE)
def test_pure_labeling_rooms_import_nothing_of_ours_but_one_another(room):
    assert not breaches(
        lambda who, what: is_in(who, room) and is_in(what, "labeling", "training") and not is_in(what, *PURE)
    )


def test_rlhf_imports_nothing_of_ours_but_itself():
    assert not breaches(
        lambda who, what: is_in(who, RLHF) and is_in(what, "labeling", "training") and not is_in(what, RLHF)
    )


def test_models_import_neither_services_nor_edges():
    def rule(who, what):
        return is_in(who, "labeling.models", "training.models") and (
            is_in(what, *edges_of("labeling"), *edges_of("training"), "rest_framework", "celery", "channels")
            or is_in(what, "labeling.services", "training.services", "labeling.queues", "training.queues")
        )

    assert not breaches(rule)


def test_services_queues_and_permissions_do_not_import_edges():
    core = [
        f"{room}.{part}"
        for room in ("labeling", "training")
        for part in ("services", "queues", "permissions")
    ]
    assert not breaches(
        lambda who, what: (
            is_in(who, *core)
            and is_in(
                what, *edges_of("labeling"), *edges_of("training"), "rest_framework", "channels.generic"
            )
        )
    )


def test_rooms_use_only_what_the_wiring_offers():
    assert not breaches(
        lambda who, what: (
            is_in(who, "labeling", "training")
            and is_in(what, "annotate")
            and not is_in(what, *WIRING_FOR_ROOMS)
        )
    )


def test_training_reaches_labeling_only_through_its_door():
    allowed = (*(f"labeling.{part}" for part in DOOR_TO_LABELING), *PURE)
    assert not breaches(
        lambda who, what: (
            is_in(who, "training")
            # Commands and the demo drive the whole site, both rooms of it.
            and not is_in(who, "training.management")
            and is_in(what, "labeling")
            and not is_in(what, *allowed)
        )
    )


def test_only_rlhf_imports_the_heavy_libraries():
    assert not breaches(lambda who, what: not is_in(who, RLHF) and is_in(what, *HEAVY))


def test_rlhf_is_used_by_the_site_only_where_it_needs_no_torch():
    """The site reads configuration and manifests; everything else happens in the child process."""
    pure = ("config", "checkpoints", "events", "errors", "presets", "learning_curve", "model_folders")
    pure += ("template_styles", "template_trial", "export.shapes", "devices")
    allowed = tuple(f"{RLHF}.{name}" for name in pure)
    assert not breaches(
        lambda who, what: (
            not is_in(who, RLHF) and is_in(what, RLHF) and what != RLHF and not is_in(what, *allowed)
        )
    )
