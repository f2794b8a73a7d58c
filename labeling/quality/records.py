"""What the quality report is computed from: judgments as plain data, one record each."""

from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RankingRecord:
    """One person's ranking of one task, as they said it. Lists have one entry for each completion of the
    task, in the task's own order."""

    submission: int
    task: int
    person: int
    completions: tuple[int, ...]
    ranks: tuple[int | None, ...]
    margins: tuple[str, ...] = ()
    scores: tuple[int | None, ...] = ()
    flags: tuple[frozenset[str], ...] = ()
    prompt_flags: frozenset[str] = frozenset()
    shown: tuple[int, ...] = ()  # places of `completions`, first shown first; empty where unknown
    lengths: tuple[int, ...] = ()
    by_people: tuple[bool, ...] = ()  # completions that are demonstrations
    batch: int | None = None
    category: str = ""
    guideline: int | None = None  # number of the version read
    seconds: int = 0
    day: int = 0  # days since 1970-01-01, UTC
    asked: "Asked | None" = None  # None: all that the vocabulary has, scores from 1 to 7
    is_test: bool = False  # held against a known answer or oneself: about the person, not about the work


@dataclass(frozen=True, slots=True)
class DemonstrationRecord:
    """One person's answer, as they handed it in."""

    submission: int
    task: int
    person: int
    characters: int
    pasted: int | None = None  # None: not counted
    prompt_flags: frozenset[str] = frozenset()
    seconds: int = 0
    asked: "Asked | None" = None
    is_test: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What the version of the form that somebody filled in had a place for."""

    scale: tuple[int, int] = (1, 7)  # least and highest score
    completion_flags: frozenset[str] = frozenset()
    prompt_flags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The keys of all flags that the project's forms ever had: one that was offered and not set is a "no"."""

    completion_flags: tuple[str, ...] = ()
    prompt_flags: tuple[str, ...] = ()


Key = Hashable
