"""How far a policy may leave its reference, and when to look whether it has.

The KL of the rollouts is known at each step and costs nothing, but it is of the policy before the update;
what is saved is measured by an evaluation. So the rollouts say when to look, also where no evaluation is due:
first at half of the budget, then at each further tenth, then, over it, at each step. Where KL grows step by
step, a best checkpoint is there before the budget is used up, whatever `evaluate_every` says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

MARK = "kl_budget_mark"  # tenths of the budget at which to look next; in the run's state, for exact resume
FIRST, ALL = 5, 10


class KlBudget:
    def __init__(self, nats: float) -> None:
        self.nats = nats

    def is_over(self, kl: float) -> bool:
        return bool(self.nats) and kl > self.nats

    def is_neared(self, kl: float, state: dict[str, Any]) -> bool:
        """Whether to look now, by the KL of this step's rollouts; moves the mark in `state`."""
        if not self.nats:
            return False
        tenths = 10 * kl / self.nats
        if tenths <= state.get(MARK, FIRST):
            return False
        state[MARK] = min(ALL, math.floor(min(tenths, ALL)) + 1)
        return True

    def words(self, kl: float, best: dict[str, Any] | None) -> Iterator[str]:
        """What the log says of a run that went over it."""
        if best is None:
            yield (
                "no checkpoint stayed within the KL budget, so none is the best: evaluate more often, or "
                "learn more slowly"
            )
        yield f"stopped: KL {kl:.2f} nats exceeds the budget of {self.nats:g}"
