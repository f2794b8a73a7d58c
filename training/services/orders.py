"""What makes an order repeatable: a key of the sender's, and the hash of what was asked for under it.

A page's form carries a key of its own, a program may send one. Whatever gets lost in between, and however
many ask at once, what was asked for under a key is made once; asked again, it is what there is already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from annotate.errors import Conflict, DomainError
from annotate.words import _
from labeling.models import Project
from labeling.services.receipts import checked_key, sha256_of
from training.models import Round, TrainingOrder, TrainingRun

REUSED = "idempotency_key_reused"
Made = TypeVar("Made")


class AnsweredBefore(Exception):
    """Somebody was faster under the same key. It ends the transaction, and all that was made in it is
    undone."""


@dataclass(frozen=True)
class Order:
    """What somebody asks for; `key` is "" where it may be made as often as it is asked for."""

    project: Project
    user: Any
    key: str
    sha256: str

    @classmethod
    def of(cls, project: Project, user: Any, key: str, asked: Mapping[str, Any]) -> Order:
        """`asked` is what must be alike for a repetition. Raises Invalid for a key that is none."""
        return cls(project, user, checked_key(key) if key else "", sha256_of(asked))

    def made(self) -> list[Any]:
        """The runs, or the round, that it has made before, by number. Raises Conflict where something else
        was asked for under its key."""
        record = self._record()
        if record is None:
            return []
        if record.body_sha256 != self.sha256:
            raise Conflict(
                _("This key was used for another order, which stays as it is."),
                code=REUSED,
                field="idempotency_key",
                hint=_("Take a new key for another order."),
            )
        return _made_of(record)

    def made_under_its_key(self) -> list[Any]:
        """As `made`, also where something else was asked for."""
        record = self._record()
        return [] if record is None else _made_of(record)

    def keep(self, *made: TrainingRun | Round) -> None:
        """Note what was made, in the transaction that has made it. Raises AnsweredBefore.

        The unique key decides: of two at once the second waits here, at the latest, for the first one's end.
        """
        if not self.key:
            return
        record, _is_new = TrainingOrder.objects.get_or_create(
            project=self.project, user=self.user, key=self.key, defaults={"body_sha256": self.sha256}
        )
        if _made_of(record):
            raise AnsweredBefore
        for each in made:
            each.order = record
            each.save(update_fields=["order"])

    def _record(self) -> TrainingOrder | None:
        if not self.key:
            return None
        return TrainingOrder.objects.filter(project=self.project, user=self.user, key=self.key).first()


def place(
    order: Order, create: Callable[[Order], Made], answer: Callable[[list[Any]], Made]
) -> tuple[Made, bool]:
    """(what the order makes, whether it was made just now). The one door of forms and API to all that starts
    training.

    `create` makes it and has the order keep it, in one transaction; `answer` says the same of what was made
    before. Raises as both of them and `Order.made` do.
    """
    if there := order.made():
        return answer(there), False
    try:
        return create(order), True
    except AnsweredBefore:
        return answer(order.made()), False
    except DomainError:
        # Of two at once the second may be refused for what the first one has just made.
        if not (there := order.made()):
            raise
        return answer(there), False


def keep(order: Order | None, *made: TrainingRun | Round) -> None:
    """For what may also be made by no order of anybody's: a round's next step, say."""
    if order is not None:
        order.keep(*made)


def _made_of(record: TrainingOrder) -> list[Any]:
    return [*record.runs.order_by("number"), *record.rounds.order_by("number")]
