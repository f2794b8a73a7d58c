"""The stage of the autosave tests: a form to write in, its saves, and what the browser keeps of it."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.browser.stage import Stage, wait_until

TEMPLATE = """{% block heading %}Write{% endblock %}{% block content %}
<form id="work" method="post" action="/submit" data-autosave-url="/draft" data-draft-key="assignment:17"
 data-revision="{{ revision|default:0 }}">
<input type="hidden" name="csrfmiddlewaretoken" value="{{ csrf_token }}">
<input type="hidden" name="idempotency_key" value="key-1">
<input type="hidden" name="active_seconds" value="{{ active|default:0 }}">
<label for="text">Answer</label><textarea id="text" name="text">{{ text }}</textarea>
<label class="toggle"><input type="checkbox" name="flag" value="unclear">unclear</label>
<output class="save-status" data-save-status></output><button class="btn" type="submit">Submit</button></form>
{% endblock %}"""
SCRIPTS = (
    """{% block scripts %}<script type="module" src="{% static 'js/autosave.js' %}"></script>{% endblock %}"""
)
DONE = '{% block content %}<h2 data-draft-done="assignment:17">Thanks</h2>{% endblock %}'
HTMX = """{% block content %}<form id="work" hx-post="/submit" hx-target="#main"
hx-select="#main" hx-swap="outerHTML" data-autosave-url="{{ url }}"
 data-draft-key="{{ key }}" data-revision="0">
<label for="text">Answer</label><textarea id="text" name="text">{{ text }}</textarea>
<output class="save-status" data-save-status></output><button class="btn" type="submit">Submit</button></form>
{% endblock %}"""


def writing_stage() -> Iterator[Stage]:
    """For a fixture's `yield from`. Saves are answered with the next revision."""
    stage = Stage()
    stage.show("/work", TEMPLATE + SCRIPTS)
    stage.show("/", "{% block content %}home{% endblock %}")
    stage.show("/done", DONE + SCRIPTS)
    revisions = iter(range(1, 10_000))
    stage.answer["PUT /draft"] = lambda body: (200, {"revision": next(revisions)})
    yield stage
    stage.close()
    assert not stage.complaints


def writing_context(browser) -> Iterator:
    context = browser.new_context(viewport={"width": 1100, "height": 800})
    yield context
    context.close()


def open_work(stage, context):
    page = stage.watch(context.new_page())
    page.goto(stage.url + "/work")
    page.wait_for_selector("[data-autosave-ready]")
    return page


def status(page):
    return page.locator("[data-save-status]")


def kept(page) -> dict | None:
    text = page.evaluate("() => localStorage.getItem('draft:7:assignment:17')")
    return json.loads(text) if text else None


def last_saved(stage) -> dict:
    """The fields of the last save that the site was sent."""
    bodies = stage.bodies("PUT", "/draft")
    return bodies[-1]["fields"] if bodies else {}


def expect_kept(page, text: str | None) -> None:
    """What the browser itself keeps of the answer, in a moment."""
    wait_until(page, lambda: (kept(page) or {"fields": {"text": None}})["fields"]["text"] == text)


def conflict(text: str, revision: int):
    details = [{"field": "revision", "message": str(revision)}, {"field": "text", "message": text}]
    return 409, {
        "error": {"code": "stale_draft", "message": "Another tab saved this draft.", "details": details}
    }
