"""A simulated lead, who empties the review queue."""

from __future__ import annotations

import random
from typing import Any

from labeling.sample_project import ReviewAnswer, SimulatedAnnotator

from .client import SiteClient, SiteRefusal
from .crew import TAKEN_AWAY, Tally

# After so many returns of one piece a person stops arguing and takes it as it is.
MOST_RETURNS = 1


class Lead:
    """Looks at what waits, oldest first, and decides as the sample project's guideline says."""

    def __init__(self, client: SiteClient, person: SimulatedAnnotator, tally: Tally) -> None:
        self.client, self.person, self.tally = client, person, tally
        self.clock = random.Random(person.seed)

    def step(self) -> bool:
        """Decide one page of the queue; False where it is empty."""
        waiting = self.client.get("submissions/queue/")["results"]
        for submission in waiting:
            try:
                self._decide(submission)
            except SiteRefusal as refusal:
                if refusal.status not in TAKEN_AWAY:  # somebody else was faster: so be it
                    raise
                self.tally.count("taken away")
        return bool(waiting)

    def _decide(self, submission: dict[str, Any]) -> None:
        current = next(each for each in submission["revisions"] if each["is_current"])
        answer = self._judge(submission, current)
        returns = sum(review["decision"] == "returned" for review in submission["reviews"])
        if answer.decision == "returned" and returns >= MOST_RETURNS:
            answer = ReviewAnswer("accepted")
        body: dict[str, Any] = {
            "submission": submission["id"],
            "revision": current["revision"],
            "decision": answer.decision,
            "note": " ".join(answer.reasons) if answer.decision != "accepted" else "",
            "active_seconds": round(self.clock.lognormvariate(0, 0.3) * 20),
        }
        if answer.decision == "fixed":
            body["text"] = answer.fixed_text
        self.client.post("reviews/", body)
        self.tally.count("reviewed")
        self.tally.count(answer.decision)

    def _judge(self, submission: dict[str, Any], current: dict[str, Any]) -> ReviewAnswer:
        messages = submission["messages"]
        if submission["kind"] == "demonstration":
            return self.person.review(messages, current["text"])
        ids = [completion["id"] for completion in submission["completions"]]
        texts = [completion["text"] for completion in submission["completions"]]
        tiers = [[ids.index(each) for each in tier] for tier in current["ranking"]["tiers"]]
        return self.person.review_ranking(messages, texts, tiers)
