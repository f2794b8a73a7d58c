"""A crew of simulated people at work: each annotator in a thread, taking one task after the other."""

from __future__ import annotations

import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from labeling.sample_project import SimulatedAnnotator
from labeling.sample_project.prompts import fact_asked

from .client import SiteClient, SiteRefusal

# Who has no work looks again soon, then less and less often: idle people cost the site nothing.
SHORTEST_WAIT, LONGEST_WAIT, WAIT_GROWTH = 0.3, 4.0, 1.5  # seconds, seconds, factor
# Work can be taken away under somebody's hands (a closed task, a lost lease): they go on with the next.
TAKEN_AWAY = {403, 404, 409, 410}


@dataclass
class Tally:
    """What a crew has done so far; shared by its threads."""

    limit: int | None = None
    done: Counter = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> bool:
        """Whether one more task may be begun."""
        with self._lock:
            if self.limit is not None and self.done["begun"] >= self.limit:
                return False
            self.done["begun"] += 1
            return True

    def give_back(self) -> None:
        with self._lock:
            self.done["begun"] -= 1

    def count(self, what: str) -> None:
        with self._lock:
            self.done[what] += 1

    def summary(self) -> str:
        """In words: "12 demonstrations, 30 rankings, 4 reviews"."""
        done = self.done
        line = (
            f"{done['demonstration']} demonstrations, {done['ranking']} rankings, {done['reviewed']} reviews"
        )
        return line + (f", {done['skipped']} skipped" if done["skipped"] else "")


class Member(Protocol):
    """Anybody in a crew: `step` does one piece of work, False where there is none."""

    def step(self) -> bool: ...


class Worker:
    """One annotator: reads the guideline, takes work, writes or ranks, submits."""

    def __init__(self, client: SiteClient, person: SimulatedAnnotator, tally: Tally) -> None:
        self.client, self.person, self.tally = client, person, tally
        self.clock = random.Random(person.seed)

    def step(self) -> bool:
        if not self.tally.take():
            return False
        try:
            assignment = self._next()
            if assignment is not None and self._work_on(assignment):
                return True
        except SiteRefusal as refusal:
            if refusal.status not in TAKEN_AWAY:
                raise
            self.tally.count("taken away")
        self.tally.give_back()
        return False

    def _next(self) -> dict[str, Any] | None:
        try:
            return self.client.post("assignments/next/")
        except SiteRefusal as refusal:
            if refusal.code != "guideline_not_acknowledged":
                raise
        for kind in ("demonstration", "ranking"):
            try:
                self.client.post(f"guidelines/{kind}/acknowledge/")
            except SiteRefusal as refusal:
                if refusal.status != 404:  # a kind without a published guideline
                    raise
        return self.client.post("assignments/next/")

    def _work_on(self, assignment: dict[str, Any]) -> bool:
        messages = assignment["prompt"]["messages"]
        address = f"assignments/{assignment['id']}/"
        if assignment["kind"] == "ranking":
            body = self._ranking(messages, assignment["completions"], assignment)
        elif fact_asked(messages) is None:
            # They know the sample project's facts and nothing else, and say so.
            self.client.post(f"{address}skip/", {"reason": "not_my_field"})
            self.tally.count("skipped")
            return True
        else:
            body = self._demonstration(messages, assignment)
        body |= {"fence": assignment["fence"], "idempotency_key": str(uuid.uuid4())}
        if answers := self._answers(assignment):
            body["answers"] = answers
        self._submit(f"{address}submit/", body)
        self.tally.count(assignment["kind"])
        return True

    def _submit(self, address: str, body: dict[str, Any]) -> None:
        """What the project's checks warn of is meant so: they have read the warning, and say it."""
        seen: set[str] = set()
        while True:
            try:
                return self.client.post(
                    address, body | ({"confirmed_warnings": sorted(seen)} if seen else {})
                )
            except SiteRefusal as refusal:
                asked = {each.get("check", "") for each in refusal.error.get("details") or ()}
                if refusal.code != "unconfirmed_warnings" or asked <= seen:
                    raise
                seen |= asked

    def _demonstration(self, messages: list[dict[str, str]], assignment: dict[str, Any]) -> dict[str, Any]:
        text = self.person.demonstrate(messages)
        if assignment["returned"]:
            # A returned answer is written again with the reviewer's words in mind.
            careful = SimulatedAnnotator(self.person.seed, skill=1.0, noise=self.person.noise)
            text = careful.demonstrate(messages)
        # People read at some 4 and type at some 3 characters a second.
        reading = sum(len(message["content"]) for message in messages) / 15
        seconds = self.clock.lognormvariate(0, 0.3) * (8 + reading + len(text) / 3)
        # As the browser does while they type: half of it is saved first.
        half = {"revision": assignment["draft"]["revision"], "fields": {"text": text[: len(text) // 2]}}
        self.client.put(f"assignments/{assignment['id']}/draft/", half)
        return {"text": text, "active_seconds": round(seconds)}

    def _answers(self, assignment: dict[str, Any]) -> dict[str, Any]:
        """To what the project's form needs to know; people in a hurry leave the rest out."""
        needed = [question for question in assignment["form"]["questions"] if question["required"]]
        of_task = {each["key"]: self._answer(each) for each in needed if each["per"] == "task"}
        of_each = [each for each in needed if each["per"] == "completion"]
        by_completion = {
            completion["id"]: {each["key"]: self._answer(each) for each in of_each}
            for completion in assignment["completions"]
            if of_each
        }
        answers = {"task": of_task, "completions": by_completion}
        return {place: values for place, values in answers.items() if values}

    def _answer(self, question: dict[str, Any]) -> Any:
        match question["type"]:
            case "yes_no":
                return self.clock.random() < 0.5
            case "one_of":
                return self.clock.choice(question["options"])["key"]
            case "several_of":
                return [self.clock.choice(question["options"])["key"]]
            case "scale":
                return self.clock.randint(question["scale"]["lowest"], question["scale"]["highest"])
        return "It follows the guideline."

    def _ranking(
        self, messages: list[dict[str, str]], completions: list[dict[str, str]], assignment: dict[str, Any]
    ) -> dict[str, Any]:
        rules, form = assignment["rules"], assignment["form"]
        # They know the sample project's flags; another project may have fewer of them.
        known = {flag["key"] for flag in rules["completion_flags"]}
        ids = [completion["id"] for completion in completions]
        answer = self.person.rank(messages, [completion["text"] for completion in completions])
        reading = sum(len(completion["text"]) for completion in completions) / 15
        seconds = self.clock.lognormvariate(0, 0.3) * (10 + reading + 4 * len(ids))
        tiers, margins = answer.tiers, answer.margins
        if not rules["allow_ties"]:
            # Somebody who may not tie decides by a hair.
            margins = [
                word
                for tier, word in zip(tiers, [*margins, ""], strict=True)
                for word in [*["negligibly"] * (len(tier) - 1), word]
            ][:-1]
            tiers = [[number] for tier in tiers for number in tier]
        return {
            "tiers": [[ids[number] for number in tier] for tier in tiers],
            "margins": margins if rules["ask_margins"] else [],
            "rationale": "The first one follows the guideline best." if rules["require_rationale"] else "",
            "scores": _on_scale(dict(zip(ids, answer.scores, strict=True)), form),
            "flags": {
                ids[number]: kept
                for number, flags in enumerate(answer.flags)
                if (kept := [flag for flag in flags if flag in known])
            },
            "touched": ids,
            "active_seconds": round(seconds),
        }


def _on_scale(scores: dict[str, int], form: dict[str, Any]) -> dict[str, int]:
    """Scores of 1 to 7 on the project's own scale; none where it asks for none."""
    if form["scores"] == "hidden":
        return {}
    low, high = form["scale"]["lowest"], form["scale"]["highest"]
    return {key: low + round((score - 1) / 6 * (high - low)) for key, score in scores.items()}


class Crew:
    """Members at work in threads until `stop`, or until all have been idle for `patience` seconds.

    Nobody goes home while somebody else is still at work: a lead waits for what slow people hand in.
    An error in one thread stops the crew; `join` raises it.
    """

    def __init__(self, members: Sequence[Member], *, patience: float | None = None) -> None:
        self.members = members
        self.patience = patience
        self._stop = threading.Event()
        self._errors: list[BaseException] = []
        self._idle = [0.0] * len(members)  # seconds since each had work
        self._threads = [
            threading.Thread(target=self._run, args=(number, member), name=f"crew-{number}", daemon=True)
            for number, member in enumerate(members)
        ]

    def start(self) -> Crew:
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        self._stop.set()

    def join(self, while_waiting: Callable[[], None] | None = None) -> None:
        """Wait for the end; `while_waiting` is called about once a second. Raises what a member raised."""
        for thread in self._threads:
            while thread.is_alive():
                thread.join(1.0)
                if while_waiting is not None:
                    while_waiting()
        self.raise_errors()

    def raise_errors(self) -> None:
        if self._errors:
            raise self._errors[0]

    def _run(self, number: int, member: Member) -> None:
        wait = SHORTEST_WAIT
        try:
            while not self._stop.is_set():
                if member.step():
                    self._idle[number], wait = 0.0, SHORTEST_WAIT
                    continue
                if self.patience is not None and min(self._idle) >= self.patience:
                    return
                self._stop.wait(wait)
                self._idle[number] += wait
                wait = min(LONGEST_WAIT, wait * WAIT_GROWTH)
        except BaseException as error:  # noqa: BLE001 - kept for join, which raises it in the caller's thread
            self._errors.append(error)
            self._stop.set()
