"""Pages whose form starts training: a page that was sent before leads to what it has ordered then."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from django.contrib import messages
from django.http import HttpRequest

from annotate.api.bodies import CSRF_FIELD
from annotate.errors import Conflict
from annotate.words import _
from labeling.models import Project
from training.services.orders import REUSED, Order, place

FIELD = "once"
Made = TypeVar("Made")


def new_key() -> str:
    return uuid.uuid4().hex


class OrderPage:
    """One page as it was loaded. Its form carries `once`, also where it is shown again with what is wrong in
    it; a page that is loaded anew has another, so that the same may be ordered twice on purpose.
    """

    def __init__(self, request: HttpRequest, project: Project, *, is_order: bool = True) -> None:
        """`is_order`: whether what was sent is one, if anything was; a form may have other buttons."""
        self.request = request
        self.once = request.POST.get(FIELD) or new_key()
        sent = {name: texts for name, texts in request.POST.lists() if name not in (CSRF_FIELD, FIELD)}
        asked = {"path": request.path, "query": dict(request.GET.lists()), "sent": sent}
        self.order = Order.of(project, request.user, request.POST.get(FIELD, "") if is_order else "", asked)

    def answered(self) -> list[Any]:
        """What this very form has ordered before, said to the person. To be asked before the form is looked
        at: it may not be valid any more."""
        try:
            there = self.order.made()
        except Conflict:  # `place` says so, once it is known what else is wrong
            return []
        if there:
            self._say()
        return there

    def place(self, create: Callable[[Order], Made], answer: Callable[[list[Any]], Made]) -> Made:
        """As orders.place. Raises Conflict where the page was sent with other settings; sent once more it
        orders these, too."""
        try:
            made, is_new = place(self.order, create, answer)
        except Conflict as error:
            if error.code != REUSED:
                raise
            self.once = new_key()
            raise Conflict(
                _("This page was sent before, with other settings, and has ordered: %(made)s.")
                % {"made": ", ".join(str(each) for each in self.order.made_under_its_key())},
                code=REUSED,
                hint=_("Send it once more to order this, too."),
            ) from error
        if not is_new:
            self._say()
        return made

    def _say(self) -> None:
        said = _("This page was sent before. Here is what it ordered then; nothing was ordered twice.")
        messages.info(self.request, said)
