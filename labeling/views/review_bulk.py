"""Decisions on a selection of the review list, and taking back what one has just decided."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from annotate.errors import Invalid
from annotate.forms import whole_number
from annotate.words import _
from labeling.access import project_route
from labeling.models import Review, ReviewDecision
from labeling.permissions import Action
from labeling.services.bulk_reviews import MOST_AT_ONCE, Chosen, check_bulk, decide_many
from labeling.services.review_rules import obstacle
from labeling.services.undo import UNDO_MINUTES, undo_decision, undo_decisions


@project_route(Action.REVIEW, methods=("POST",))
def review_bulk(request: HttpRequest, *, project, membership) -> HttpResponse:
    """What would happen to the chosen ones; with `confirmed`, it happens, and the page says what did."""
    form = request.POST
    decision = form.get("decision", "")
    chosen = _chosen(project, form.getlist("chosen"))
    check_bulk(project=project, count=len(form.getlist("chosen")), decision=decision)
    error = None
    if form.get("confirmed"):
        try:
            outcomes = decide_many(
                project=project,
                chosen=chosen,
                decision=decision,
                reviewer=request.user,
                reasons=form.getlist("reasons"),
                note=form.get("note", ""),
                reopen=form.get("reopen") == "yes",
                active_seconds=whole_number(form.get("active_seconds")),
            )
        except Invalid as invalid:
            error = invalid
        else:
            done = [outcome for outcome in outcomes if outcome.review is not None]
            context = {
                "done": done,
                "refused": [outcome for outcome in outcomes if outcome.review is None],
                "decision_label": ReviewDecision(decision).label,
                "undo_minutes": UNDO_MINUTES,
            }
            return render(request, "labeling/review_bulk_done.html", context)
    checked = [(each, obstacle(each.submission, each.revision, request.user, decision)) for each in chosen]
    context = {
        "possible": [each for each, stands_in_the_way in checked if stands_in_the_way is None],
        "impossible": [(each, why) for each, why in checked if why is not None],
        "missing": len(form.getlist("chosen")) - len(chosen),
        "decision": decision,
        "decision_label": ReviewDecision(decision).label,
        "reasons": project.settings.return_reasons,
        "needs_reason": decision != ReviewDecision.ACCEPTED,
        "sent": form if error else {},
        "sent_reasons": form.getlist("reasons") if error else [],
        "error": error,
    }
    return render(request, "labeling/review_bulk.html", context, status=422 if error else 200)


@project_route(Action.REVIEW, methods=("POST",))
def review_undo(request: HttpRequest, *, project, membership) -> HttpResponse:
    """Take back decisions of one's own: one leads back to its piece, several to the list."""
    ids = [whole_number(pk) for pk in request.POST.getlist("review")][:MOST_AT_ONCE]
    rows = Review.objects.filter(submission__project=project, pk__in=ids)
    found = list(rows.select_related("submission__project").order_by("pk"))
    if not found:
        raise Invalid("Say which decision to take back.", field="review")
    if len(found) == 1:
        submission = undo_decision(review=found[0], reviewer=request.user)
        messages.success(request, "Taken back. It is as it was before.")
        return redirect("labeling:review_submission", slug=project.slug, pk=submission.pk)
    outcomes = undo_decisions(reviews=found, reviewer=request.user)
    refused = [error for _, error in outcomes if error is not None]
    messages.success(request, _("%(n)s taken back.") % {"n": len(outcomes) - len(refused)})
    for error in refused[:5]:
        messages.warning(request, error.message)
    return redirect("labeling:review_queue", slug=project.slug)


def _chosen(project, values: list[str]) -> list[Chosen]:
    """From "id:revision", in the order of the list; what is not of this project is left out."""
    if len(values) > MOST_AT_ONCE:
        raise Invalid(
            _("At most %(most)s at once; %(n)s are chosen.") % {"most": MOST_AT_ONCE, "n": len(values)},
            field="submissions",
        )
    seen = {}
    for value in values:
        pk, _at, revision = value.partition(":")
        seen[whole_number(pk)] = whole_number(revision)
    rows = project.submissions.filter(pk__in=seen).select_related("prompt", "annotator")
    found = {row.pk: row for row in rows}
    for row in found.values():
        row.project = project
    return [Chosen(found[pk], revision) for pk, revision in seen.items() if pk in found]
