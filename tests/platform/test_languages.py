"""A page speaks its reader's language; every language says everything, and the catalogues keep up."""

from __future__ import annotations

import ast
import re
from datetime import date

import pytest
from django.conf import settings
from django.template import engines
from django.test import Client
from django.utils import translation

from annotate import catalogues
from annotate.accounts.preferences import change_preferences
from annotate.errors import Invalid
from annotate.words import in_a_sentence, later
from labeling.models import TaskKind
from labeling.models.event_words import EVENT_WORDS
from labeling.services.activity import notify
from training.rlhf.config import STAGES, describe

DOMAINS = ["django", "djangojs"]
PLACEHOLDER = re.compile(r"%\((\w+)\)s")
TAG = re.compile(r"</?\w+")
SOURCE_LANGUAGE = "en"
LANGUAGES = [code for code, _ in settings.LANGUAGES if code != SOURCE_LANGUAGE]
CATALOGUES = [(language, domain) for language in LANGUAGES for domain in DOMAINS]


def translations(message) -> tuple[str, ...]:
    return message.string if isinstance(message.string, tuple) else (message.string or "",)


def sources(message) -> tuple[str, ...]:
    return message.id if isinstance(message.id, tuple) else (message.id,)


def messages(language: str, domain: str):
    return [message for message in catalogues.read(language, domain) if message.id]


@pytest.mark.parametrize(("language", "domain"), CATALOGUES)
def test_the_catalogue_holds_exactly_what_the_site_says(language, domain):
    said = {message.id for message in catalogues.collected(domain) if message.id}
    held = {message.id for message in messages(language, domain)}
    assert (said - held, held - said) == (set(), set()), "run `manage.py catalogues`"
    assert len(said) > 100


def test_what_a_hyperparameter_says_of_itself_is_there_for_translators():
    """`training.rlhf` knows no Django: its texts are taken from its declarations."""
    said = {message.id for message in catalogues.collected("django")}
    missing = {spec.help for stage in STAGES for spec in describe(stage)} - said
    assert missing == set()


@pytest.mark.parametrize(("language", "domain"), CATALOGUES)
def test_the_compiled_catalogue_is_that_of_its_text(language, domain):
    path = catalogues.po_path(language, domain)
    assert path.with_suffix(".mo").read_bytes() == catalogues.compiled(catalogues.read(language, domain))


@pytest.mark.parametrize(("language", "domain"), CATALOGUES)
def test_everything_is_translated(language, domain):
    assert [each.id for each in messages(language, domain) if not all(translations(each))] == []


@pytest.mark.parametrize(("language", "domain"), CATALOGUES)
def test_a_translation_has_the_placeholders_of_its_source(language, domain):
    wrong = []
    for message in messages(language, domain):
        for said, source in zip(translations(message), sources(message), strict=True):
            if said and set(PLACEHOLDER.findall(said)) != set(PLACEHOLDER.findall(source)):
                wrong.append((source, said))
            if said and TAG.findall(said) != TAG.findall(source):
                wrong.append((source, said))
            if said and (said.strip() == said) != (source.strip() == source):
                wrong.append((source, said))
    assert wrong == []


def test_every_action_of_the_audit_trail_has_its_words():
    recorded = {
        constant.value
        for room in catalogues.ROOMS
        for path in (catalogues.ROOT / room).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "record_event"
        for argument in call.keywords
        if argument.arg == "action"
        for constant in ast.walk(argument.value)
        if isinstance(constant, ast.Constant) and re.fullmatch(r"[a-z_]+\.[a-z_]+", str(constant.value))
    }
    assert len(recorded) > 80
    assert recorded - set(EVENT_WORDS) == set()


# --- Which language, and where ------------------------------------------------------------------------------
@pytest.fixture
def german(db, make_user):
    user = make_user("ann")
    change_preferences(user=user, changes={"language": "de"})
    return user


def page(user=None, address="/profile/", **headers) -> str:
    client = Client(headers=headers)
    if user is not None:
        client.force_login(user)
    return client.get(address).content.decode()


def test_the_language_of_the_profile_comes_before_that_of_the_browser(german):
    html = page(german, **{"Accept-Language": "en"})
    assert '<html lang="de">' in html
    assert "Zeitzone" in html and "Time zone" not in html


def test_without_a_choice_the_browser_decides(make_user, db):
    user = make_user("bob")
    assert "Zeitzone" in page(user, **{"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"})
    assert "Time zone" in page(user, **{"Accept-Language": "fr"})
    assert "Anmelden" in page(address="/accounts/login/", **{"Accept-Language": "de"})


def test_a_language_is_chosen_on_the_profile(make_user, db):
    user = make_user("bob")
    client = Client()
    client.force_login(user)
    form = {"display_name": "Bob", "timezone": "UTC", "theme": "system", "language": "de"}
    answer = client.post("/profile/", form, follow=True)
    assert "Gespeichert." in answer.content.decode()
    user.refresh_from_db()
    assert user.preferences["language"] == "de"


def test_programs_get_english_unless_they_ask(german, api_client_of):
    client = api_client_of(german)
    english, german_answer = (
        client.get("/api/nothing/"),
        client.get("/api/nothing/", HTTP_ACCEPT_LANGUAGE="de"),
    )
    assert english.json()["error"]["message"] == "There is no such endpoint."
    assert german_answer.json()["error"]["message"] == "Diesen Endpunkt gibt es nicht."
    assert german_answer.json()["error"]["code"] == english.json()["error"]["code"]
    assert "Accept-Language" in english.headers["Vary"]


def test_an_error_page_is_in_the_readers_language(german):
    html = page(german, "/projects/nothing/")
    assert "Hier ist nichts" in html


def test_numbers_and_days_keep_the_formats_of_the_site():
    source = "{% load humanize %}{{ n|floatformat:2 }} {{ many|intcomma }} {{ day|date:'SHORT_DATE_FORMAT' }}"
    template = engines["django"].from_string(source)
    for language in ("en", "de"):
        with translation.override(language):
            shown = template.render({"n": 0.5, "many": 12345, "day": date(2026, 11, 5)})
        assert shown == "0.50 12,345 2026-11-05", language


def test_scripts_get_their_words_by_language_and_english_pages_do_not_load_them(german, client, db):
    answer = client.get("/words/de.js")
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/javascript")
    assert "Gespeichert %(time)s" in answer.content.decode()
    assert client.get("/words/xx.js").status_code == 404
    assert "/words/de.js" in page(german)
    assert "/words/" not in page(address="/accounts/login/")


def test_a_label_amid_a_sentence_is_small_in_english_and_keeps_its_capital_in_german():
    for language, word in (("en", "demonstration"), ("de", "Musterantwort")):
        with translation.override(language):
            assert str(in_a_sentence(TaskKind.DEMONSTRATION.label)) == word


def test_what_somebody_is_told_is_in_their_language_whoever_acts(german, make_user):
    kind = in_a_sentence(TaskKind.RANKING.label)
    said = later("%(who)s returned your %(kind)s.", who="Lena", kind=kind)
    bob = make_user("bob")
    with translation.override("fr"):
        texts = [notify(user=user, kind="submission.returned", text=said).text for user in (german, bob)]
    assert texts == ["Lena hat Ihnen Ihre Rangfolge zurückgegeben.", "Lena returned your ranking."]


def test_a_refusal_with_a_value_in_it_is_in_the_readers_language(german):
    with translation.override("de"), pytest.raises(Invalid) as refused:
        change_preferences(user=german, changes={"daily_goal": 0})
    assert refused.value.message == "Eine ganze Zahl von 1 bis 1,000, oder keine."


def test_several_of_a_kind_have_their_own_word():
    for language, words in (("en", "Demonstrations Rankings"), ("de", "Musterantworten Rangfolgen")):
        with translation.override(language):
            assert " ".join(str(kind.many) for kind in TaskKind) == words


# --- What escapes the catalogues ----------------------------------------------------------------------------
WORDS = re.compile(r"[A-Za-z]+,? [a-z]{2,}")
SQL = re.compile(r"\b(SELECT|INSERT INTO|PRAGMA|CREATE INDEX|IN \(|SET jit)")
# Raised for programmers, or shown by one who puts the words of the catalogue around them.
FOR_PROGRAMMERS = {
    "TypeError", "ValueError", "RuntimeError", "OSError", "TransactionManagementError", "DoesNotExist",
    "LeaseLost", "DefinitionError", "Error", "print", "say", "compile",
}  # fmt: skip
# What is said in English: to operators at a terminal, in files that are alike everywhere, in stored records
# of work that no request makes.
IN_ENGLISH = {
    "annotate/sqlite/base.py", "labeling/api/webhooks.py",
    "annotate/prepared/statements.py", "labeling/services/audit_seals.py",  # manage.py verify, and its kin
    "labeling/services/content_check.py", "labeling/services/dataset_recipes.py",
    "labeling/services/import_check.py", "labeling/services/judgment_check.py",
    "labeling/services/ledger_check.py", "labeling/services/verification.py",
    "labeling/services/version_check.py", "labeling/services/dataset_extras.py",  # data cards, rows left out
    "labeling/services/dataset_filters.py", "labeling/services/dataset_sizes.py",  # states of workers
    "labeling/services/import_rows.py", "labeling/services/import_spool.py",  # faults of files
    "labeling/services/webhook_sending.py", "labeling/checks/blocked_words.py",
    "training/services/demo_report.py",  # ./dev demo
    "training/services/endings.py", "training/services/follow_ups.py", "training/services/library_calls.py",
    "training/services/locations.py", "training/services/preparation.py", "training/services/retention.py",
    "training/services/round_steps.py", "training/services/supervision.py", "training/services/tailing.py",
}  # fmt: skip
NO_PAGES = (
    "management", "migrations", "rlhf", "formats", "quality", "sample_project", "simulation", "templatetags",
)  # fmt: skip
FOR_LOGS = {"annotate/quoted_rows.py", "labeling/search_index.py"}
SAY = catalogues.ERRORS | {"UnconfirmedWarnings", "Refused", "Unreachable", "add_error", "ValidationError"}


def spoken_files():
    for room in catalogues.ROOMS:
        for path in sorted((catalogues.ROOT / room).rglob("*.py")):
            name = path.relative_to(catalogues.ROOT)
            if not set(name.parts) & set(NO_PAGES) and not name.name.startswith("bench"):
                yield name.as_posix(), path


def with_parents(path):
    """Every node of a file with the nodes around it, the nearest first."""
    waiting = [(ast.parse(path.read_text()), ())]
    while waiting:
        node, around = waiting.pop()
        yield node, around
        waiting += ((child, (node, *around)) for child in ast.iter_child_nodes(node))


def called(node) -> str:
    return getattr(node.func, "attr", "") or getattr(node.func, "id", "")


def literal_text(node) -> str:
    return "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))


def is_said(node, around) -> bool:
    """An f-string with words in it that reaches somebody, as far as its surroundings tell."""
    text = literal_text(node)
    if not WORDS.search(text) or SQL.search(text) or isinstance(around[0], ast.FormattedValue):
        return False
    if any(called(each) in FOR_PROGRAMMERS for each in around if isinstance(each, ast.Call)):
        return False
    function = next((each.name for each in around if isinstance(each, ast.FunctionDef)), "")
    return function not in ("__str__", "__repr__")


def escaping(name, path) -> list[str]:
    """Texts with values in them that no catalogue can hold."""
    return [
        f"{name}:{node.lineno}"
        for node, around in with_parents(path)
        if isinstance(node, ast.JoinedStr) and is_said(node, around)
    ]


def test_no_sentence_is_an_f_string():
    """`_("At most %(most)s.") % {…}`, `later(…)` or `ngettext`: an f-string is English in every language."""
    found = {name: escaping(name, path) for name, path in spoken_files()}
    assert [line for name, lines in found.items() if name not in IN_ENGLISH for line in lines] == []
    assert {name for name in IN_ENGLISH if not found.get(name)} == set()


def test_sentences_that_were_english_in_a_german_session_are_in_the_catalogue():
    said = {each for message in catalogues.collected("django") for each in sources(message)}
    assert {
        "You have done %(count)s of %(most)s tasks of the day.",
        "At least %(bound)s characters; this answer has %(size)s.",
        "You did not pass the %(kind)s screening.",
        "%(found)s Submit anyway?",
        "No answer within %(n)s seconds.",
        "Not begun",
    } <= said


def plain_words(node) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(WORDS.search(node.value))


def test_a_refusal_or_notice_is_one_text_or_one_of_the_catalogue():
    """The catalogue finds literals in the calls of errors and of messages; it finds none that are pieced
    together, nor those of exceptions that it does not know."""
    wrong = []
    for name, path in spoken_files():
        for node, _around in with_parents(path):
            if not isinstance(node, ast.Call) or called(node) not in SAY | catalogues.NOTICES:
                continue
            texts = [*node.args[:2], *(each.value for each in node.keywords if each.arg == "hint")]
            known = called(node) in catalogues.ERRORS | catalogues.NOTICES
            wrong += [
                f"{name}:{text.lineno}"
                for text in texts
                if (isinstance(text, ast.BinOp) and any(map(plain_words, (text.left, text.right))))
                or (plain_words(text) and not known)
            ]
    assert wrong == []


def test_what_a_page_reads_off_an_object_is_no_bare_text():
    """Properties and functions in the read sides and views that return words."""
    wrong = []
    for name, path in spoken_files():
        if name.count("/") > 1 and "/views/" not in name:
            continue
        for node, around in with_parents(path):
            if plain_words(node) and is_returned(node, around):
                wrong.append(f"{name}:{node.lineno}")
    assert [each for each in wrong if each.split(":")[0] not in FOR_LOGS] == []


def is_returned(node, around) -> bool:
    for each in around:
        if isinstance(each, ast.Return | ast.Lambda):
            return True
        if not isinstance(each, ast.IfExp | ast.BoolOp):
            return False
    return False
