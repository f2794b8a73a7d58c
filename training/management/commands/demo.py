"""manage.py demo: one whole round on the sample project, played by simulated people over HTTP, then
served.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import subprocess
import time
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from annotate.accounts.models import User
from annotate.accounts.services import create_user
from annotate.environment import BASE_DIR
from annotate.errors import DomainError
from annotate.management.commands.up import manage
from labeling.models import Project, Role
from labeling.services.projects import add_member
from labeling.services.quality_reports import refresh_report
from labeling.services.sample import create_sample_project
from labeling.services.simulated_people import ensure_simulated_people
from labeling.simulation import Crew, Lead, SiteClient, Tally, Worker
from labeling.simulation.site import answers, wait_for
from training.models import Checkpoint, Round, RoundStatus, RoundStepStatus, RunStatus, TrainingRun
from training.services import demo
from training.services.demo_report import report

ANNOTATORS = 6
SHOWN = {"demo-admin": "admin", "demo-lead": "lead", "demo-annotator": "annotator"}
LEFT_REVIEWS = 8  # pieces left for the lead who looks on
TICK = 0.5
QUALITY_PATIENCE = 120  # seconds until a worker that computes the quality report must be done


class DemoFailed(CommandError):
    """A step of the round failed; the site goes on, so that one can look at it."""


class Command(BaseCommand):
    help = (
        "Set up the sample project, run one whole round on it with simulated annotators who work over the "
        "site's own HTTP API, print what happened, and go on serving. Run again, it goes on where it was."
    )

    def add_arguments(self, parser) -> None:
        parser.add_argument("--port", type=int, default=settings.PORT)
        parser.add_argument("--annotators", type=int, default=ANNOTATORS)
        parser.add_argument("--no-serve", action="store_true", help="stop once the table is printed")

    def handle(self, *args, port: int, annotators: int, no_serve: bool, **options) -> None:
        self.started_at = time.monotonic()
        # What happens is said by `say`; the site logs to its file.
        logging.getLogger().setLevel(logging.WARNING)
        site = f"http://127.0.0.1:{port}"
        if answers(site):
            # Going on would give the accounts new passwords under the feet of whoever runs that one.
            raise CommandError(f"A site runs at {site} already. Stop it, or choose another port: PORT=8001")
        self.say("Making the tables, or looking whether they are there.")
        call_command("migrate", interactive=False, verbosity=0)
        self.say("The tables are there. Starting the site.")
        logins = self.make_people()
        project = create_sample_project(acting_user=User.objects.get(username="demo-admin"))
        self.let_in(project)
        log_path = Path(settings.DATA_DIR) / "site.log"
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a closed terminal leaves no site behind
            signal.signal(each, signal.default_int_handler)
        with open(log_path, "ab") as log:
            process = subprocess.Popen(
                manage("up", "--port", str(port)),
                cwd=BASE_DIR,
                start_new_session=True,
                stdout=log,
                stderr=log,
            )
        try:
            wait_for(site, process)
            self.say(f"The site answers at {site}. You can look on while the round goes.")
            self.show_logins(site, logins)
            self.play(site, project, annotators)
            self.show_logins(site, logins)
            if not no_serve:
                self.say(f"Serving {site}/projects/{project.slug}/ until Ctrl-C.")
                process.wait()
        except RuntimeError as error:
            raise CommandError(f"{error} Its log is {log_path}") from error
        except DemoFailed as error:
            self.stderr.write(str(error))
            if no_serve:
                raise
            self.say(f"Serving {site} all the same, until Ctrl-C.")
            process.wait()
        except KeyboardInterrupt:
            self.say("Stopping.")
        finally:
            self.stop(process)

    def say(self, line: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self.started_at), 60)
        self.stdout.write(f"[{minutes}:{seconds:02}] {line}")
        self.stdout.flush()

    # --- People ---------------------------------------------------------------------------------------------
    def make_people(self) -> dict[str, str]:
        """{user name: password} of the accounts to look on with; fresh random passwords each time."""
        logins = {}
        for name, role in SHOWN.items():
            password = secrets.token_urlsafe(9)
            user = User.objects.filter(username=name).first()
            if user is None:
                user = create_user(
                    username=name,
                    email=f"{name}@demo.invalid",
                    password=password,
                    display_name=name.replace("-", " ").title(),
                    is_staff=role == "admin",
                )
            else:
                user.set_password(password)
                user.save(update_fields=["password"])
            logins[name] = password
        return logins

    def let_in(self, project: Project) -> None:
        admin = User.objects.get(username="demo-admin")
        for name, role in SHOWN.items():
            user = User.objects.get(username=name)
            if not project.memberships.filter(user=user).exists():
                add_member(project=project, user=user, role=Role(role), acting_user=admin)

    def show_logins(self, site: str, logins: dict[str, str]) -> None:
        self.stdout.write(f"\n  Sign in at {site}/accounts/login/")
        for name, password in logins.items():
            self.stdout.write(f"    {SHOWN[name]:<10} {name:<15} {password}")
        self.stdout.write("")
        self.stdout.flush()

    # --- The round ------------------------------------------------------------------------------------------
    def play(self, site: str, project: Project, annotators: int) -> None:
        admin = User.objects.get(username="demo-admin")
        tally = Tally()
        people, lead = ensure_simulated_people(project=project, count=annotators, acting_user=admin)
        members = [Worker(SiteClient(site, each.token, project.slug), each.person, tally) for each in people]
        crew = Crew([*members, Lead(SiteClient(site, lead.token, project.slug), lead.person, tally)])
        if not project.rounds.filter(status=RoundStatus.DONE).exists():
            crew.start()  # in a project whose round is done, open work is left for the people who look on
        try:
            demo.import_demonstrations(project=project, acting_user=admin)
            base = self.train_base_model(project, admin, crew)
            round = demo.start_round(project=project, base=base, acting_user=admin)
            self.watch(round, crew, tally)
        except DomainError as error:
            raise DemoFailed(f"{error.message} {error.hint or ''}") from error
        finally:
            crew.stop()
        runs = demo.start_measurements(round=round, base=base, acting_user=admin)
        for run in runs:
            self.wait_for_run(run, crew)
        if demo.leave_work(project=project, acting_user=admin):
            # A few pieces are begun without a lead, so that there is something to review.
            begun = Tally(limit=LEFT_REVIEWS)
            Crew([Worker(each.client, each.person, begun) for each in members], patience=2).start().join()
        self.refresh_quality(project)
        table = report(round=round, base=base).as_text()
        self.say("The round is done.")
        self.stdout.write("\n" + "\n".join(f"  {line}" for line in table.splitlines()) + "\n")

    def refresh_quality(self, project: Project) -> None:
        """The quality report of all that was done: the worker's own comes a minute later, too late for who
        looks on now, or is being computed of a moment before."""
        done_at, patience = timezone.now(), time.monotonic() + QUALITY_PATIENCE
        while (found := refresh_report(project=project)) is None or not found.as_of or found.as_of < done_at:
            if time.monotonic() > patience:
                raise DemoFailed("The quality report is not computed in time. See the worker's log.")
            time.sleep(TICK)

    def train_base_model(self, project: Project, admin: User, crew: Crew) -> Checkpoint:
        run = demo.start_base_model(project=project, acting_user=admin)
        self.wait_for_run(run, crew)
        base = demo.base_checkpoint(run)
        if base is None:
            raise DemoFailed(f"{run} did not end with a checkpoint.")
        return base

    def wait_for_run(self, run: TrainingRun, crew: Crew) -> None:
        """Until it has succeeded and what follows it is done. Raises DemoFailed with its sentence."""
        shown = ""
        while True:
            run.refresh_from_db()
            line = f"{run}: {run.get_status_display().lower()}"
            if line != shown:
                self.say(line)
                shown = line
            if run.status in (RunStatus.FAILED, RunStatus.CANCELLED):
                raise DemoFailed(f"{run} {run.get_status_display().lower()}: {run.error_message}")
            if run.status == RunStatus.SUCCEEDED and run.follow_up_status != "waiting":
                return
            crew.raise_errors()
            time.sleep(TICK)

    def watch(self, round: Round, crew: Crew, tally: Tally) -> None:
        """Until the round is done, saying each change. Raises DemoFailed for a step that failed."""
        shown: dict[str, str] = {}
        while True:
            for step in round.steps.select_related("run").order_by("position"):
                status = step.get_status_display().lower()
                if shown.get(step.kind) != status:
                    shown[step.kind] = status
                    if step.status not in (RoundStepStatus.WAITING, RoundStepStatus.READY):
                        self.say(f"{round}, {step.get_kind_display()}: {status} ({tally.summary()})")
                if step.status == RoundStepStatus.FAILED:
                    raise DemoFailed(f"{step.get_kind_display()} failed: {step.message}")
            round.refresh_from_db()
            if round.status == RoundStatus.DONE:
                return
            if round.status != RoundStatus.RUNNING:
                raise DemoFailed(f"{round} was {round.get_status_display().lower()}.")
            crew.raise_errors()
            time.sleep(TICK)

    @staticmethod
    def stop(process: subprocess.Popen) -> None:
        """End the site: its supervisor takes web, worker and runs with it."""
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
