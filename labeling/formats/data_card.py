"""The data card of a dataset version: Markdown from its manifest and facts, the same wherever it is made.

Always in English, as the formats are: the card travels with the data. Names that people chose are escaped, so
that a file's or a category's name cannot become a heading, a link or a cell.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .keys import SPLITS

ROWS_OF = {
    "sft": "demonstrations: a conversation that ends with the answer a person wrote",
    "comparison": "rankings: completions of one prompt in the order a person gave them",
    "prompts": "prompts: conversations that wait for an answer",
    "completions": "prompts, each with completions of models in no order",
}
DECISIONS = {"accepted": "accepted by a reviewer", "fixed": "fixed by a reviewer"}
FEW_ROWS = 100  # a split of fewer says little
MOST_NAMED = 20  # lines of a table; the rest is counted in one
LOW_AGREEMENT = 2 / 3
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~$!])")


class CardTitle(NamedTuple):
    """What names a version beside its hash."""

    project: str
    dataset: str
    number: int


def escaped(text: str) -> str:
    """People's text as one line of Markdown that shows itself.

    >>> escaped("a|b *c*")
    'a\\\\|b \\\\*c\\\\*'
    """
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def render_card(
    title: CardTitle,
    *,
    sha256: str,
    manifest: Mapping[str, Any],
    facts: Mapping[str, Any],
    licences_now: Mapping[int, str] | None = None,
) -> str:
    """The card. `facts` is {} for a version frozen before there were cards: what is not known is left out.
    `licences_now`: {import: licence} where it is another one than when the version was frozen."""
    lines = [f"# {escaped(title.dataset)} v{title.number}", ""]
    lines += [
        f"A frozen dataset of the project {escaped(title.project)}. SHA-256 of its manifest: `{sha256}`.",
        "",
    ]
    for heading, part in (
        ("What is in it", _content(manifest, facts)),
        ("How it was selected", _selection(manifest, facts)),
        ("Where it comes from", _origin(manifest, facts, licences_now or {})),
        ("Agreement", _agreement(manifest, facts)),
        ("Known limits", [f"- {limit}" for limit in known_limits(manifest, facts)]),
        ("Files", _files(manifest)),
    ):
        body = list(part)
        if body:
            lines += [f"## {heading}", "", *body, ""]
    return "\n".join(lines)


def _table(names: list[str], rows: list[list[Any]]) -> Iterator[str]:
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for row in rows:
        yield f"| {' | '.join(f'{cell:,}' if isinstance(cell, int) else str(cell) for cell in row)} |"


def _content(manifest, facts):
    statistics, rows = manifest["statistics"], manifest["rows"]
    yield f"{sum(rows.values()):,} {ROWS_OF[manifest['kind']]}; {statistics['prompts']:,} prompts."
    yield ""
    lengths = facts.get("characters", {})
    pairs = statistics.get("pairs")
    names = [
        "Split",
        "Rows",
        *(["Decided pairs"] if pairs is not None else []),
        "Characters",
        "Shortest",
        "Longest",
    ]
    table = []
    for split in SPLITS:
        shortest, longest = lengths.get(split, ["", ""])
        decided = [pairs.get(split, 0)] if pairs is not None else []
        table.append(
            [split, rows[split], *decided, statistics["characters"].get(split, 0), shortest, longest]
        )
    yield from _table(names, table)
    if sizes := statistics.get("completions_per_row"):
        counted = ", ".join(
            f"{count:,} of {size}" for size, count in sorted(sizes.items(), key=lambda i: int(i[0]))
        )
        what = "of one prompt" if manifest["kind"] == "completions" else "ranked together"
        yield from ("", f"Completions {what}: {counted}.")
    if several := statistics["turns"].get("several"):
        yield from ("", f"Prompts of several turns: {several:,} rows.")
    if fields := statistics.get("fields"):
        counted = ", ".join(f"{escaped(name)} {count:,}" for name, count in sorted(fields.items()))
        yield from ("", f"Fields of prompts in `fields`, with the rows that have them: {counted}.")
    yield from _by_split("Category", statistics["categories"])
    yield from _by_split("Language", facts.get("languages", {}))


def _by_split(name, counts):
    """A table of names by split; nothing where none has a name."""
    totals = _totals(counts)
    if not any(totals):
        return
    ordered = sorted(totals, key=lambda each: (-totals[each], each))
    shown = [
        [escaped(each) or "not stated", *(counts[s].get(each, 0) for s in SPLITS)]
        for each in ordered[:MOST_NAMED]
    ]
    if rest := ordered[MOST_NAMED:]:
        shown.append([f"{len(rest)} more", *(sum(counts[s].get(each, 0) for each in rest) for s in SPLITS)])
    yield ""
    yield from _table([name, *SPLITS], shown)


def _totals(counts) -> dict[str, int]:
    names = {name for each in counts.values() for name in each}
    return {name: sum(each.get(name, 0) for each in counts.values()) for name in names}


def _selection(manifest, facts):
    recipe = manifest["recipe"]
    yield f"- sources: {', '.join(recipe['sources'])}; review: {', '.join(recipe['decisions'])}"
    entries = {name: value for name, value in recipe.items() if name != "filters"}
    for name, value in recipe.get("filters", {}).items():
        # How many words are blocked: the words themselves may be thousands, and not for everybody.
        entries[f"filter {name}"] = len(value) if name == "blocked_words" else value
    for name, value in sorted(entries.items()):
        if name not in ("sources", "decisions", "fractions", "salt") and value not in ([], "", None, False):
            shown = ", ".join(map(str, value)) if isinstance(value, list) else _shown(value)
            yield f"- {escaped(name)}: {escaped(shown)}"
    shares = ", ".join(f"{split} {recipe['fractions'][split]:.0%}" for split in SPLITS)
    yield f"- split by prompt: {shares}; salt “{escaped(recipe['salt'])}”"
    by_selection = {each["reason"]: each["rows"] for each in facts.get("not_selected", ())}
    for reason, count in by_selection.items():  # in the order in which they are counted
        yield f"- left out by selection: {count:,} rows, {escaped(reason)}"
    if len(by_selection) > 1:
        yield "- each of those rows counts once, under the first reason that leaves it out"
    for reason, count in sorted(manifest["left_out"].items()):
        if reason not in by_selection:  # the people chosen: manifests have always counted those
            yield f"- left out: {count:,} rows, {escaped(reason)}"
    for reason, count in sorted(manifest.get("changed", {}).items()):
        yield f"- changed: {count:,} rows, {escaped(reason)}"


def _shown(value, others="*"):
    """
    >>> _shown({"category": {"law": 1.0, "*": 0.5}}), _shown({"law": 20, "*": 500}), _shown(3)
    ('category law 1, category * 0.5', 'law 20, * 500', '3')
    """
    if not isinstance(value, dict):
        return str(value)
    # A database may hand names back in another order; what stands for all others comes last.
    ordered = sorted(value.items(), key=lambda item: (item[0] == "*", item[0]))
    return ", ".join(
        _shown({f"{name} {each}" if each != "*" else each: n for each, n in inner.items()}, f"{name} *")
        if isinstance(inner, dict)
        else f"{others if name == '*' else name} {inner:g}"
        for name, inner in ordered
    )


def _origin(manifest, facts, licences_now):
    used = manifest["statistics"].get("lineage", {})
    people = used.get("annotators", {})
    if people:
        yield f"- {sum(people.values()):,} rows by {len(people):,} people, who appear by pseudonym"
    for source in facts.get("sources", []):
        licence = escaped(source["licence"]) or "**no licence stated**"
        if (now := licences_now.get(source["import"])) is not None:
            licence = f"{licence} when it was frozen, {escaped(now) or '**none stated**'} now"
        name, digest = escaped(source["file"]), source["sha256"]
        yield f"- {source['rows']:,} rows {_held_of(source)} {name} ({licence}; SHA-256 `{digest}`)"
    for guideline in facts.get("guidelines", []):
        yield (
            f"- {guideline['rows']:,} rows under version {guideline['number']} of the guideline for"
            f" {escaped(guideline['kind'])}s (SHA-256 `{guideline['sha256']}`)"
        )
    for decision, count in sorted(used.get("reviews", {}).items()):
        yield f"- {count:,} rows {DECISIONS.get(decision, escaped(decision))}"
    if unreviewed := facts.get("unreviewed"):
        yield f"- {unreviewed:,} rows accepted without a review"


def _held_of(source):
    """What of the rows is the file's, where that is not all of them.

    >>> _held_of({"rows": 3, "judgments": 0, "prompts": 3, "completions": 2})
    'with prompts (3) and completions (2) from the file'
    """
    if source.get("judgments", source["rows"]) == source["rows"]:  # or not counted apart yet
        return "from the file"
    parts = [f"{name} ({source[name]:,})" for name in ("judgments", "prompts", "completions") if source[name]]
    return f"with {' and '.join(filter(None, [', '.join(parts[:-1]), parts[-1]]))} from the file"


def stated_licence(facts: Mapping[str, Any], rows: int) -> str:
    """The licence of a version of so many rows: what all its files state, where every row holds something of
    one; else ""."""
    licences = {" ".join(source["licence"].split()) for source in facts.get("sources", [])}
    covered = facts.get("rows_of_files", {}).get("any", 0)
    return licences.pop() if len(licences) == 1 and 0 < rows == covered else ""


def _agreement(manifest, facts):
    agreement = facts.get("agreement")
    if manifest["kind"] != "comparison" or agreement is None:
        return
    if not agreement["compared"]:
        yield "No two people ranked the same completions: agreement is not known."
        return
    share = agreement["agreed_twice"] / 2 / agreement["compared"]
    yield (
        f"Where several people ranked the same completions ({facts['ranked_by_several']:,} sets), two of them"
        f" said the same of a pair in {share:.1%} of {agreement['compared']:,} cases (a tie against an order"
        " counts half)."
    )


def known_limits(manifest: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
    """What somebody who trains on it should know, each a sentence that follows from the numbers."""
    statistics, total = manifest["statistics"], sum(manifest["rows"].values())
    for split in SPLITS:
        if 0 < manifest["rows"][split] < FEW_ROWS and manifest["recipe"]["fractions"][split]:
            yield f"{split} has {manifest['rows'][split]:,} rows: figures on it vary by chance."
        elif not manifest["rows"][split] and manifest["recipe"]["fractions"][split]:
            yield f"{split} is empty."
    people = statistics.get("lineage", {}).get("annotators", {})
    if people and (most := max(people.values())) * 2 > total:
        yield f"One person made {most / total:.0%} of the rows."
    yield from _limits_of_sources(facts, total)
    agreement = facts.get("agreement")
    if manifest["kind"] == "comparison" and agreement is not None:
        if not agreement["compared"]:
            yield "How much people agree is not known."
        elif agreement["agreed_twice"] < 2 * LOW_AGREEMENT * agreement["compared"]:
            yield "People agree little: the orders are noisy."
    languages = _totals(facts.get("languages", {}))
    if unknown := languages.get(""):
        yield f"The language of {unknown:,} rows is not stated."
    yield (
        "Texts by people and models may be wrong, biased or unsafe; personal data is left out only where the"
        " recipe says so."
    )


def _limits_of_sources(facts, total):
    sources = facts.get("sources", [])
    unlicensed = sum(source["rows"] for source in sources if not source["licence"])
    if without := facts.get("rows_of_files", {}).get("without_licence", unlicensed):
        yield f"{without:,} rows come from files without a stated licence."
    if imported := sum(source.get("judgments", source["rows"]) for source in sources):
        yield f"{imported:,} rows were imported: their judgments were not reviewed here."
    if (unreviewed := facts.get("unreviewed", 0)) * 2 > total:
        yield f"{unreviewed / total:.0%} of the rows were accepted without a review."
    if len({(each["kind"], each["number"]) for each in facts.get("guidelines", [])}) > 1:
        yield "Rows were made under different versions of the guideline."


def _files(manifest):
    files = manifest["files"]
    yield from _table(
        ["File", "Bytes", "SHA-256"],
        [[f"`{name}`", files[name]["bytes"], f"`{files[name]['sha256']}`"] for name in sorted(files)],
    )
