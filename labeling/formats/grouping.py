"""Several models' answers to the same prompts, brought together prompt by prompt."""

from collections.abc import Iterable, Iterator

from .errors import FormatError
from .keys import prompt_digest
from .limits import DEFAULT_LIMITS, Limits
from .records import RankingRecord


def group_completions(
    records: Iterable[RankingRecord], *, limits: Limits = DEFAULT_LIMITS
) -> Iterator[RankingRecord]:
    """One record per prompt, in the order in which prompts first appeared; chain the records of all files
    into it.

    Unranked records of one prompt become one; category, language, metadata and row are those of the first.
    The same text by the same generator is kept once. Records that are ranked already pass through as they
    are, after the groups. The groups are held in memory: more than `limits.max_grouped_characters` of text,
    or more than `limits.max_completions` completions of one prompt, raise FormatError.
    """
    groups: dict[str, list[RankingRecord]] = {}
    ranked: list[RankingRecord] = []
    characters = 0
    for record in records:
        characters += sum(len(completion.text) for completion in record.completions)
        if characters > limits.max_grouped_characters:
            raise FormatError(
                f"more than {limits.max_grouped_characters:,} characters of completions to group by prompt",
                hint="Import them in parts, each with all completions of its prompts.",
            )
        if record.tiers is None:
            groups.setdefault(prompt_digest(record.messages), []).append(record)
        else:
            ranked.append(record)
    for members in groups.values():
        yield _joined(members, limits)
    yield from ranked


def _joined(members, limits):
    first = members[0]
    if len(members) == 1:
        return first
    completions = tuple({(c.text, c.generator): c for record in members for c in record.completions}.values())
    if len(completions) > limits.max_completions:
        raise FormatError(
            f"{len(completions)} completions of one prompt; at most {limits.max_completions} are read",
            row=members[-1].row,
            field="completions",
        )
    return RankingRecord(
        messages=first.messages,
        completions=completions,
        tiers=None,
        row=first.row,
        category=first.category,
        language=first.language,
        metadata=first.metadata,
    )
