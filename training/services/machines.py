"""The machines on which runs are worked on, and whether they have a GPU: told by their workers.

Web processes may be elsewhere and cannot look, so each training worker says every minute what its machine
has. Ordering a run on a GPU is refused where machines are known and none has one; where none is known the run
waits, and the worker that takes it refuses it before anything starts (supervision.py).
"""

from __future__ import annotations

import socket
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Now

from annotate.errors import Invalid
from annotate.words import _
from training.models import TrainingMachine
from training.rlhf.devices import has_gpu

TELL_SECONDS = 60.0
KNOWN_FOR = timedelta(minutes=10)  # a machine that says nothing for so long is forgotten
DROPPED_AFTER = timedelta(days=7)
CUDA = "cuda"
SHOWN = 5


def tell_machine() -> None:
    """This machine, and what it has, as of now; those of which nothing was heard for long are dropped."""
    TrainingMachine.objects.update_or_create(
        host=own_host(), defaults={"has_gpu": has_gpu(), "seen_at": Now()}
    )
    TrainingMachine.objects.filter(seen_at__lt=Now() - DROPPED_AFTER).delete()  # containers come and go


def own_host() -> str:
    return socket.gethostname()[:200]


def known_machines() -> QuerySet[TrainingMachine]:
    return TrainingMachine.objects.filter(seen_at__gt=Now() - KNOWN_FOR)


def check_device(hyperparameters: dict[str, Any]) -> None:
    """Raises Invalid where a GPU is asked for and no machine that trains has one."""
    if hyperparameters.get("device") != CUDA:
        return
    machines = list(known_machines().order_by("host"))
    if not machines or any(machine.has_gpu for machine in machines):
        return
    names = ", ".join(machine.host for machine in machines[:SHOWN])
    raise Invalid(
        _("device: is cuda, but no machine that trains has a GPU (%(hosts)s).") % {"hosts": names},
        field="device",
        code="no_gpu",
        hint=_("Choose auto, which takes a GPU where there is one, or cpu."),
    )


def refuse_here(hyperparameters: dict[str, Any]) -> None:
    """Raises Invalid where a GPU is asked for and this very machine has none."""
    if hyperparameters.get("device") == CUDA and not has_gpu():
        raise Invalid(
            _("device: is cuda, but %(host)s, which took the run, has no GPU.") % {"host": own_host()},
            field="device",
            code="no_gpu",
            hint=_("Choose auto, which takes a GPU where there is one, or cpu."),
        )


def takes_gpu_runs() -> bool:
    """Whether this machine takes runs that ask for a GPU: where it has one, and where no other known one has,
    so that somebody says so.
    """
    return has_gpu() or not known_machines().filter(has_gpu=True).exclude(host=own_host()).exists()
