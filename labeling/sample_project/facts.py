"""What the sample project knows: small, true facts, each with the ways to ask for it.

A fact is the unit from which prompts, reference answers, the text for pre-training and the check "was the
question answered" are all derived, so that the four can never disagree. The tables are everyday knowledge on
purpose: a model of half a million weights can learn them in a minute, and a reader of a screenshot can see at
a glance whether an answer is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Fact:
    """One thing that can be asked.

    `accepted` holds the words any of which, as a whole word, answers the question. `rivals` holds the
    other answers of the same table: naming one of them first is a wrong answer. `statements` are full
    sentences that answer, best first; `follow_up` asks the same after another question of the category.
    """

    category: str
    subject: str
    accepted: tuple[str, ...]
    rivals: frozenset[str]
    questions: tuple[str, ...]
    statements: tuple[str, ...]
    follow_up: str | None = None


CAPITALS = """France:Paris Italy:Rome Spain:Madrid Japan:Tokyo Peru:Lima Egypt:Cairo Kenya:Nairobi
Norway:Oslo Greece:Athens Cuba:Havana Portugal:Lisbon Ireland:Dublin Poland:Warsaw Austria:Vienna
Sweden:Stockholm Germany:Berlin China:Beijing Canada:Ottawa Chile:Santiago Belgium:Brussels"""

YOUNG = """cow:calf dog:puppy cat:kitten horse:foal sheep:lamb goat:kid pig:piglet duck:duckling hen:chick
bear:cub deer:fawn frog:tadpole kangaroo:joey"""

SOUNDS = """dog:barks cat:meows cow:moos duck:quacks lion:roars sheep:bleats horse:neighs pig:oinks owl:hoots
bee:buzzes snake:hisses wolf:howls"""

HOMES = """bee:hive bird:nest spider:web rabbit:burrow horse:stable bear:cave dog:kennel cow:barn
camel:desert frog:pond shark:sea monkey:jungle"""

COLOURS = """a banana:yellow|grass:green|snow:white|coal:black|the sky:blue|a strawberry:red|a carrot:orange
chocolate:brown|a flamingo:pink|a lemon:yellow|a frog:green|milk:white|a crow:black|the sea:blue
a tomato:red|a pumpkin:orange"""

OPPOSITES = """hot:cold big:small fast:slow day:night up:down wet:dry old:young full:empty hard:soft
light:dark happy:sad early:late high:low long:short rich:poor left:right strong:weak near:far"""

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)

TOOLS = """cut paper:scissors|hit a nail:hammer|sweep the floor:broom|eat soup:spoon|write a letter:pen
dig a hole:shovel|open a lock:key|tell the time:clock|cut bread:knife|paint a wall:brush|weigh flour:scale
sew a button:needle"""

JOBS = """bakes bread:baker|teaches children:teacher|puts out fires:firefighter|flies a plane:pilot
grows vegetables:farmer|cuts hair:barber|fixes teeth:dentist|sails a ship:sailor|builds houses:builder
catches fish:fisher|drives a bus:driver|writes books:author"""

COOKING = """rice:Simmer the rice in water until it is soft:simmer water
an egg:Boil the egg in water for eight minutes:boil water
pasta:Boil the pasta in salted water for ten minutes:boil water
a potato:Bake the potato in a hot oven for one hour:bake oven
a carrot:Slice the carrot and steam it until it is tender:steam
toast:Warm the bread in a toaster until it is brown:toaster
tea:Pour hot water over the leaves and wait three minutes:pour leaves
popcorn:Heat the corn in a covered pan until it pops:heat pan pops"""

PACKING = """the beach:Pack a towel, a hat and sun cream:towel hat
a hike:Pack good boots, water and a map:boots map
a rainy day:Pack a coat and an umbrella:coat umbrella
a picnic:Pack bread, fruit and a blanket:bread fruit blanket
a camping trip:Pack a tent, a lamp and a warm sleeping bag:tent lamp
a ski trip:Pack gloves, goggles and a warm jacket:gloves goggles jacket
school:Pack a pen, a notebook and your lunch:pen notebook lunch
the pool:Pack a towel, goggles and a swimsuit:towel goggles swimsuit"""

HOUSEHOLD = """remove a coffee stain:Rub the stain with salt and cold water:salt cold rub
keep bread fresh:Keep the bread in a paper bag:bag
water a cactus:Give the cactus a little water once a month:little month
clean a window:Wipe the window with vinegar and paper:wipe vinegar
wake up early:Set an alarm and go to bed early:alarm bed
save water:Take a short shower and close the tap:shower tap
stop a squeaky door:Put a drop of oil on the hinge:oil hinge
dry wet shoes:Fill the shoes with paper and wait a day:fill paper"""


def _pairs(table: str) -> list[tuple[str, str]]:
    """`left:right` entries of a table whose entries are parted by white space (or `|` and line ends)."""
    entries = table.replace("\n", "|").split("|") if "|" in table else table.split()
    return [tuple(entry.split(":", 1)) for entry in entries if entry]  # type: ignore[misc]


def with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _closed(
    category: str,
    table: list[tuple[str, str]],
    questions: list[str],
    statements: list[str],
    follow_up: str | None,
) -> list[Fact]:
    """Facts of a table in which every question has exactly one right answer.

    Templates know `{s}` (subject), `{as_}` (subject with article), `{a}` (answer) and `{aa}` (answer with
    article).
    """
    answers = {answer for _, answer in table}

    def fill(template: str, subject: str, answer: str) -> str:
        text = template.format(s=subject, as_=with_article(subject), a=answer, aa=with_article(answer))
        return text[0].upper() + text[1:]

    facts = []
    for subject, answer in table:
        facts.append(
            Fact(
                category=category,
                subject=subject,
                accepted=(answer,),
                rivals=frozenset(answers - {answer}),
                questions=tuple(fill(question, subject, answer) for question in questions),
                statements=tuple(fill(statement, subject, answer) for statement in statements),
                follow_up=fill(follow_up, subject, answer) if follow_up else None,
            )
        )
    return facts


def _tips(category: str, table: str, questions: list[str]) -> list[Fact]:
    """Facts with an open answer: any of the listed key words shows that the question was answered."""
    facts = []
    for line in table.splitlines():
        subject, tip, words = line.split(":")
        facts.append(
            Fact(
                category=category,
                subject=subject,
                accepted=tuple(words.split()),
                rivals=frozenset(),
                questions=tuple(question.format(s=subject) for question in questions),
                statements=(f"{tip}.",),
            )
        )
    return facts


def _calendar() -> list[Fact]:
    facts = []
    for category, names, noun in (("days", DAYS, "day"), ("months", MONTHS, "month")):
        after = [(name, names[(i + 1) % len(names)]) for i, name in enumerate(names)]
        before = [(name, names[i - 1]) for i, name in enumerate(names)]
        tables = (("after", after), ("before", before)) if noun == "day" else (("after", after),)
        for word, table in tables:
            facts += _closed(
                category,
                table,
                [
                    f"Which {noun} comes {word} {{s}}?",
                    f"What {noun} is {word} {{s}}?",
                    f"Tell me the {noun} {word} {{s}}.",
                ],
                [f"The {noun} {word} {{s}} is {{a}}."],
                f"And {word} {{s}}?",
            )
    return facts


def _sums() -> list[Fact]:
    facts = []
    for left in range(1, 5):
        for right in range(1, 5):
            total = str(left + right)
            subject = f"{left} plus {right}"
            facts.append(
                Fact(
                    category="sums",
                    subject=subject,
                    accepted=(total,),
                    rivals=frozenset(str(n) for n in range(1, 100)) - {total},
                    questions=(
                        f"What is {subject}?",
                        f"How much is {subject}?",
                        f"Please add {left} and {right}.",
                    ),
                    statements=(f"{left} plus {right} is {total}.",),
                    follow_up=f"And {subject}?",
                )
            )
    return facts


@cache
def all_facts() -> tuple[Fact, ...]:
    """Every fact, in a fixed order."""
    facts: list[Fact] = []
    # A table: one entry a kind of fact.
    # fmt: off
    facts += _closed(
        "capitals", _pairs(CAPITALS),
        ["What is the capital of {s}?", "Which city is the capital of {s}?", "Tell me the capital of {s}.",
         "I forgot the capital of {s}. What is it?"],
        ["The capital of {s} is {a}.", "{a} is the capital of {s}."], "And what is the capital of {s}?")
    facts += _closed(
        "young animals", _pairs(YOUNG),
        ["What is a young {s} called?", "What do you call a baby {s}?", "Tell me the name for a young {s}."],
        ["A young {s} is called {aa}.", "A baby {s} is {aa}."], "And a young {s}?")
    facts += _closed(
        "animal sounds", _pairs(SOUNDS),
        ["What sound does {as_} make?", "What noise does {as_} make?", "How does {as_} sound?"],
        ["{as_} {a}."], "And what sound does {as_} make?")
    facts += _closed(
        "animal homes", _pairs(HOMES),
        ["Where does {as_} live?", "What is the home of {as_}?", "Tell me where {as_} lives."],
        ["{as_} lives in the {a}."], "And where does {as_} live?")
    facts += _closed(
        "colours", _pairs(COLOURS),
        ["What colour is {s}?", "Which colour does {s} have?", "Tell me the colour of {s}."],
        ["The colour of {s} is {a}."], "And what colour is {s}?")
    facts += _closed(
        "opposites", _pairs(OPPOSITES),
        ["What is the opposite of {s}?", "Which word means the opposite of {s}?",
         "Give me the opposite of {s}."],
        ["The opposite of {s} is {a}.", "{a} is the opposite of {s}."], "And the opposite of {s}?")
    facts += _calendar()
    facts += _sums()
    facts += _closed(
        "tools", _pairs(TOOLS),
        ["What do I need to {s}?", "What can I use to {s}?", "I want to {s}. What should I take?"],
        ["To {s}, use {aa}.", "You can {s} with {aa}."], "And to {s}?")
    facts += _closed(
        "jobs", _pairs(JOBS),
        ["Who {s}?", "What do we call a person who {s}?", "Tell me who {s}."],
        ["{aa} {s}.", "A person who {s} is {aa}."], "And who {s}?")
    facts += _tips("cooking", COOKING, ["How do I prepare {s}?", "Give me a tip for preparing {s}.",
                                        "What is a good way to prepare {s}?"])
    facts += _tips("packing", PACKING, ["What should I pack for {s}?", "Help me pack for {s}.",
                                        "What do I need for {s}?"])
    facts += _tips("household", HOUSEHOLD, ["How do I {s}?", "Give me a tip: how can I {s}?",
                                            "What is an easy way to {s}?"])
    # fmt: on
    return tuple(facts)
