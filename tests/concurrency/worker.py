"""A process of its own that claims or submits against the test's database, driven by tests/concurrency.

Reads one JSON object from the command line, waits for the line "go" (so that all workers start together),
writes one JSON line per thing done. Its users work in threads, or with "fork" in a process each: 64 of them
start in the time of one.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback

import django


def say(**facts) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def claim_guarded(user, project):
    from labeling.services.assignments import claim_next

    return claim_next(user=user, project=project)


def claim_unguarded(user, project):
    """The control: read the next slot, think for a moment, then write. What many labeling tools do."""
    from labeling import queues

    pick = queues.next_assignment(user=user, project=project, kinds=["demonstration", "ranking"])
    if pick is None or pick.why == "in_hand":
        return None
    time.sleep(1)  # longer than a busy machine takes to let the next one look
    pick.assignment.annotator, pick.assignment.status = user, "leased"
    pick.assignment.lease_expires_at = "2100-01-01T00:00Z"
    pick.assignment.save()
    return pick.assignment


def work_until_empty(user, project, *, submits: bool) -> None:
    """Claim (and submit) until nothing is left for this person."""
    while (assignment := claim_guarded(user, project)) is not None:
        say(user=user.pk, assignment=assignment.pk, task=assignment.task_id, fence=assignment.fence)
        if not submits:
            return
        submit(assignment, user, f"{user.pk}-{assignment.pk}")


def work_beside_leads(user, project) -> None:
    """The same where leads take tasks back meanwhile: a refused submission is said, and one goes on."""
    from annotate.errors import DomainError

    while (assignment := claim_guarded(user, project)) is not None:
        try:
            submit(assignment, user, f"{user.pk}-{assignment.pk}")
        except DomainError as error:
            say(refused=error.code, by="annotator")


def claim_once_without_guard(user, project) -> None:
    assignment = claim_unguarded(user, project)
    if assignment is not None:
        say(user=user.pk, assignment=assignment.pk, task=assignment.task_id)


def submit(assignment, user, key: str, seconds: int = 0):
    from labeling.services.submissions import submit_demonstration

    return submit_demonstration(
        assignment=assignment,
        user=user,
        fence=assignment.fence,
        idempotency_key=key,
        text="An answer.",
        active_seconds=seconds,
    )


def submit_by_key(user, assignment_id: int, key: str, seconds: int = 0) -> None:
    from annotate.errors import DomainError
    from labeling.models import Assignment

    assignment = Assignment.objects.select_related("project", "batch").get(pk=assignment_id)
    try:
        stored = submit(assignment, user, key, seconds)
    except DomainError as error:
        say(code=error.code)
    else:
        say(submission=stored.pk, revision=stored.revision_count)


def decide(user, submission_id: int, *, guarded: bool) -> None:
    """Accept or reject, by who it is; without the guard: look whether it waits, think, then write."""
    from annotate.errors import DomainError
    from labeling.models import Review, Submission
    from labeling.services.reviews import accept_submission, reject_submission

    submission = Submission.objects.select_related("project").get(pk=submission_id)
    if not guarded:
        if submission.status == "awaiting_review":
            time.sleep(2)  # as in `claim_unguarded`
            Review.objects.create(
                submission=submission,
                # Each in a revision of its own, so that not even the constraint stops them.
                revision=user.pk,
                decision="accepted",
                reviewer=user,
            )
            Submission.objects.filter(pk=submission_id).update(status="accepted")
            say(decided=user.pk)
        return
    try:
        if user.pk % 2:
            accept_submission(submission=submission, revision=1, reviewer=user)
        else:
            reject_submission(submission=submission, revision=1, reviewer=user, note="Copied.")
    except DomainError as error:
        say(code=error.code, message=error.message)
    else:
        say(decided=user.pk)


def take_back(user, review_id: int) -> None:
    from annotate.errors import DomainError
    from labeling.models import Review
    from labeling.services.undo import undo_decision

    try:
        undo_decision(
            review=Review.objects.select_related("submission__project").get(pk=review_id), reviewer=user
        )
    except DomainError as error:
        say(code=error.code)
    else:
        say(taken_back=user.pk)


def send_mails(outbox: str, *, guarded: bool) -> None:
    """Sweep until nothing is due; without the claim: read what waits, think, send, then mark it."""
    from django.conf import settings

    from labeling.models import Notification
    from labeling.services import mailing

    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = outbox
    if not guarded:

        def read_only(user, claim, now):
            lines = list(
                Notification.objects.filter(user=user, mail_status="waiting").select_related("project")
            )
            time.sleep(0.5)
            Notification.objects.filter(pk__in=[line.pk for line in lines]).update(mail_status="sent")
            return lines

        mailing._claim = read_only
    while mailing.send_due():
        continue


def freeze(user, dataset_id: int, key: str, *, guarded: bool) -> None:
    """Ask for a version; without the guards: neither a key nor a look whether it would be a twin."""
    from labeling.models import Dataset
    from labeling.services import datasets

    if not guarded:
        datasets.end_as_twin = lambda version, sha256: None
        key = ""
    version = datasets.freeze_dataset(
        dataset=Dataset.objects.get(pk=dataset_id), acting_user=user, idempotency_key=key
    )
    say(version=version.pk)


def order_a_run(user, project, version_id: int, key: str, *, guarded: bool) -> None:
    """Ask for a run; without the guard: look whether it is there, think, then make it. What a form does that
    remembers in its session what it has done.
    """
    from labeling.models import DatasetVersion
    from training.services import orders
    from training.services.runs import create_run

    version = DatasetVersion.objects.get(pk=version_id)

    def create(order):
        if not guarded:
            time.sleep(2)  # as in `claim_unguarded`
        return create_run(
            project=project,
            stage="sft",
            hyperparameters={},
            inputs={"train_data": version},
            base_model="base",
            acting_user=user,
            order=order if guarded else None,
        )

    order = orders.Order.of(project, user, key, {"version": version_id})
    found, is_new = orders.place(order, create, lambda runs: runs[0])
    say(run=str(found.pk), is_new=is_new)


def run(order: dict, user_id: int) -> None:
    from django.db import connection

    from annotate.accounts.models import User
    from labeling.models import Project

    user, project = User.objects.get(pk=user_id), Project.objects.get(pk=order["project"])
    try:
        match order["do"]:
            case "work":
                work_until_empty(user, project, submits=True)
            case "work beside leads":
                work_beside_leads(user, project)
            case "claim":
                work_until_empty(user, project, submits=False)
            case "claim without guard":
                claim_once_without_guard(user, project)
            case "submit":
                submit_by_key(user, order["assignment"], order["key"], order.get("seconds", 0))
            case "decide":
                decide(user, order["submission"], guarded=True)
            case "decide without guard":
                decide(user, order["submission"], guarded=False)
            case "take back":
                take_back(user, order["review"])
            case "freeze":
                freeze(user, order["dataset"], order["key"], guarded=True)
            case "freeze without guard":
                freeze(user, order["dataset"], order["key"], guarded=False)
            case "order":
                order_a_run(user, project, order["version"], order["key"], guarded=True)
            case "order without guard":
                order_a_run(user, project, order["version"], order["key"], guarded=False)
            case "lead":
                from tests.concurrency.lead import lead_on

                lead_on(user, project, rounds=order["rounds"], guarded=order["guarded"])
            case "mail":
                send_mails(order["outbox"], guarded=True)
            case "mail without claim":
                send_mails(order["outbox"], guarded=False)
    finally:
        connection.close()


def work_in_processes(order: dict) -> None:
    """A child per user, all connected before the start and let loose by the closing of one pipe."""
    ready, told_ready = os.pipe()
    gate, opens_gate = os.pipe()
    children = []
    for user_id in order["users"]:
        child = os.fork()
        if child == 0:
            os.close(opens_gate)
            be_a_child(order, user_id, told_ready, gate)
        children.append(child)
    for _ in children:
        os.read(ready, 1)
    say(ready=True)
    sys.stdin.readline()
    os.close(opens_gate)
    codes = [os.waitpid(child, 0)[1] for child in children]
    say(done=not any(codes))


def be_a_child(order: dict, user_id: int, told_ready: int, gate: int) -> None:
    """Never returns: the process ends here, with 1 if its work broke."""
    from annotate.accounts.models import User

    broke = 1
    try:
        User.objects.filter(pk=user_id).count()
        os.write(told_ready, b".")
        os.read(gate, 1)
        run(order, user_id)
        broke = 0
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(broke)


def main() -> None:
    order = json.loads(sys.argv[1])
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from annotate.accounts.models import User

    if order.get("fork"):
        work_in_processes(order)
        return
    User.objects.filter(pk__in=order["users"]).count()  # connect before the start
    say(ready=True)
    sys.stdin.readline()
    threads = [threading.Thread(target=run, args=(order, user)) for user in order["users"]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    say(done=True)


if __name__ == "__main__":
    main()
