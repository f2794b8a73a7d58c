"""manage.py simulate --project SLUG --annotators N --tasks M"""

from __future__ import annotations

import contextlib

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from annotate.accounts.models import User
from annotate.environment import BASE_DIR
from annotate.errors import DomainError
from labeling.models import Project, Role
from labeling.services.simulated_people import ensure_simulated_people
from labeling.simulation import Crew, Lead, SiteClient, SiteUnreachable, Tally, Worker
from labeling.simulation.crew import Member
from labeling.simulation.site import answers, own_site


class Command(BaseCommand):
    help = (
        "Play annotators and a lead over the site's HTTP API, with the noise of people. Works on the site "
        "that runs at SITE_URL, or starts one of its own for the while."
    )

    def add_arguments(self, parser) -> None:
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument("--annotators", type=int, default=4, metavar="N", help="default: 4")
        parser.add_argument("--tasks", type=int, default=None, metavar="M", help="default: all that wait")
        parser.add_argument(
            "--site", default=None, metavar="URL", help="default: the one that runs, or an own one"
        )
        parser.add_argument("--seed", type=int, default=0, help="who the people are (default: 0)")
        parser.add_argument("--no-lead", action="store_true", help="leave the review queue alone")
        parser.add_argument("--patience", type=float, default=3.0, metavar="SECONDS",
                            help="go home after this long without work (default: 3)")  # fmt: skip

    def handle(self, *args, **options) -> None:
        if not 1 <= options["annotators"] <= 64:
            raise CommandError("--annotators: between 1 and 64.")
        if options["tasks"] is not None and options["tasks"] < 1:
            raise CommandError("--tasks: at least 1.")
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"There is no project “{options['project']}”.")
        acting_user = (
            User.objects.filter(memberships__project=project, memberships__role=Role.ADMIN)
            .order_by("pk")
            .first()
        )
        try:
            annotators, lead = ensure_simulated_people(
                project=project, count=options["annotators"], acting_user=acting_user, seed=options["seed"]
            )
        except DomainError as error:
            raise CommandError(error.message) from error
        with self._site(options["site"]) as site:
            self.stdout.write(f"{len(annotators)} annotators and a lead at work on {project} at {site}")
            tally = self._work(site, project, annotators, lead, options)
        self.stdout.write(tally.summary())
        if not tally.done["demonstration"] + tally.done["ranking"] + tally.done["reviewed"]:
            self.stdout.write(
                "There was nothing to do. Make a batch: " + f"/projects/{project.slug}/batches/new/"
            )

    def _site(self, given: str | None):
        if given is not None:
            if not answers(given):
                raise CommandError(f"No site answers at {given}.")
            return contextlib.nullcontext(given)
        if answers(settings.SITE_URL):
            return contextlib.nullcontext(settings.SITE_URL)
        return own_site(BASE_DIR)

    def _work(self, site: str, project, annotators, lead, options) -> Tally:
        tally = Tally(limit=options["tasks"])
        members: list[Member] = [
            Worker(SiteClient(site, each.token, project.slug), each.person, tally) for each in annotators
        ]
        if not options["no_lead"]:
            members.append(Lead(SiteClient(site, lead.token, project.slug), lead.person, tally))
        crew = Crew(members, patience=options["patience"]).start()
        shown = ""

        def show() -> None:
            nonlocal shown
            line = tally.summary()
            if line != shown:
                self.stdout.write(line)
                self.stdout.flush()
                shown = line

        try:
            crew.join(while_waiting=show)
        except SiteUnreachable as error:
            raise CommandError(f"The site is away: {error}") from error
        except KeyboardInterrupt:
            crew.stop()
        return tally
