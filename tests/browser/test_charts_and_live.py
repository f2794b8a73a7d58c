"""Curves, and a run followed live: over a socket where there is one, by polling where there is none."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from tests.browser.widths import reaching_over

DATA = {
    "x": [0, 10, 20],
    "series": [
        {"name": "train loss", "key": "train_loss", "values": [3.0, 2.5, 2.25]},
        {"name": "validation loss", "key": "validation_loss", "values": [3.5, None, 2.75]},
    ],
}
CHARTS = '<script type="module" src="{% static \'js/charts.js\' %}"></script>'
LIVE = '<script type="module" src="{% static \'js/live.js\' %}"></script>'
CHART_PAGE = (
    "{% block content %}{% chart 'loss' 'Loss' data x_label='step' %}{% endblock %}{% block scripts %}"
    + CHARTS
)
RUN_PAGE = """{% block content %}
<section data-live data-poll-url="/events?since=" data-socket-url="{{ socket }}" data-cursor="0"
 data-status="running">
<span data-live-mode></span><span data-live-state data-state="running">Running</span>
<progress class="progress" data-live-progress></progress>
<span data-live-step></span><span data-live-left></span>
<p data-live-error hidden></p><pre class="log" data-live-log></pre>
{% chart "loss" "Loss" keys="train_loss validation_loss" %}</section>
<div id="part" data-live-refresh hx-get="/part" hx-trigger="live:ended">before</div>
{% endblock %}{% block scripts %}"""


@pytest.fixture
def page(stage, browser):
    context = browser.new_context(viewport={"width": 1100, "height": 800})
    yield stage.watch(context.new_page())
    context.close()


def event(sequence: int, kind: str, step: int | None = None, **data) -> dict:
    return {
        "sequence": sequence,
        "type": kind,
        "step": step,
        "data": data,
        "occurred_at": "2026-01-01T10:00:00Z",
    }


def run(status: str = "running", step: int = 0, **more) -> dict:
    return {
        "status": status,
        "step": step,
        "total_steps": 40,
        "seconds_left": 75,
        "error_message": "",
        **more,
    }


def table_of(page) -> list[list[str]]:
    page.get_by_role("button", name="Table").click()
    rows = page.locator(".chart-table tbody tr")
    return [rows.nth(i).locator("td").all_inner_texts() for i in range(rows.count())]


def test_a_chart_draws_its_series_and_shows_the_same_numbers_as_a_table(stage, page):
    stage.show("/chart", CHART_PAGE + "{% endblock %}", data=DATA)
    page.goto(stage.url + "/chart")
    expect(page.locator(".chart canvas")).to_be_visible()
    expect(page.locator(".chart-legend")).to_contain_text("validation loss")
    assert table_of(page) == [["0", "3", "3.5"], ["10", "2.5", "—"], ["20", "2.25", "2.75"]]
    expect(page.locator(".chart canvas")).to_be_hidden()


SPY = """() => {
  window.drawn = [];
  const paint = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
    window.drawn.push(String(text));
    return paint.call(this, text, ...rest);
  };
}"""


def test_steps_are_whole_numbers_and_an_axis_writes_its_numbers_in_one_way(stage, page):
    rates = [1e-3 - 4e-5 * step for step in range(25)]
    data = {"x": list(range(25)), "series": [{"name": "rate", "values": rates}]}
    stage.show("/chart", CHART_PAGE + "{% endblock %}", data=data)
    page.add_init_script(f"({SPY})()")
    page.set_viewport_size({"width": 420, "height": 800})  # where lines at 2.5 steps would stand
    page.goto(stage.url + "/chart")
    expect(page.locator(".chart canvas")).to_be_visible()
    page.wait_for_function("() => window.drawn.includes('step')")
    drawn = set(page.evaluate("() => window.drawn")) - {"step"}
    steps = {text for text in drawn if "e" not in text}
    assert "5" in steps or "10" in steps
    assert all(text.isdigit() for text in steps), steps
    along = {text for text in drawn if "e" in text}
    assert len(along) >= 3 and "0.001" not in drawn
    assert all(text.endswith(("e-3", "e-4", "e-5")) for text in along), along
    plot, canvas = page.locator(".chart-plot").bounding_box(), page.locator(".chart canvas").bounding_box()
    assert plot["height"] - canvas["height"] < 40  # no gap under a low plot


def test_a_series_can_be_put_aside(stage, page):
    stage.show("/chart", CHART_PAGE + "{% endblock %}", data=DATA)
    page.goto(stage.url + "/chart")
    button = page.get_by_role("button", name="train loss")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")


def test_an_empty_chart_says_so_and_takes_points_as_they_come(stage, page):
    stage.show("/chart", CHART_PAGE + "{% endblock %}", data=None)
    page.goto(stage.url + "/chart")
    expect(page.locator(".chart-empty")).to_have_text("Nothing to draw yet.")
    push = """points => { const figure = document.getElementById("loss");
        for (const detail of points) figure.dispatchEvent(new CustomEvent("chart:push", {detail})); }"""
    points = [
        {"x": 10, "values": {"train_loss": 2}},
        {"x": 5, "values": {"train_loss": 3}},
        {"x": 10, "values": {"kl": 1}},
    ]
    page.evaluate(push, points)
    expect(page.locator(".chart canvas")).to_be_visible()
    assert table_of(page) == [["5", "3", "—"], ["10", "2", "1"]]


def test_a_chart_keeps_to_the_width_of_a_phone(stage, page):
    page.set_viewport_size({"width": 390, "height": 800})
    stage.show("/chart", CHART_PAGE + "{% endblock %}", data=DATA)
    page.goto(stage.url + "/chart")
    expect(page.locator(".chart canvas")).to_be_visible()
    assert reaching_over(page) == []


def show_run(stage, socket: str = "") -> None:
    stage.show("/run", RUN_PAGE + CHARTS + LIVE + "{% endblock %}", socket=socket)
    stage.answer["GET /part"] = lambda body: (200, "<p>after</p>")


def test_without_a_socket_it_polls_says_so_and_draws_what_comes(stage, page):
    first = [event(1, "metrics", 1, train_loss=3.0), event(2, "log", 1, message="hello")]
    second = [event(3, "metrics", 2, train_loss=2.0, other=1)]
    now: dict = {}

    def tell(events: list, status: dict) -> None:  # the same to each poll until there is other news
        now.update(events=events, run=status, cursor=max(each["sequence"] for each in events))

    stage.answer["GET /events"] = lambda body: (200, dict(now))
    tell(first, run(step=1))
    show_run(stage)
    page.goto(stage.url + "/run")
    expect(page.locator("[data-live-mode]")).to_have_text("Updated every 2 s (no live connection)")
    expect(page.locator("[data-live-log]")).to_contain_text("hello")
    tell(second, run(step=2))
    expect(page.locator("[data-live-step]")).to_have_text("Step 2 of 40")
    expect(page.locator("[data-live-left]")).to_have_text("1 min 15 s left")
    tell(second, run("succeeded", 40))
    expect(page.locator("[data-live-state]")).to_have_text("Succeeded")
    expect(page.locator("#part")).to_have_text("after")
    assert table_of(page) == [["1", "3"], ["2", "2"]]
    asked = len(stage.requests)
    page.wait_for_timeout(2500)
    assert len(stage.requests) == asked, "a run that has ended is not asked about again"


def test_a_socket_resumes_from_the_last_event_it_saw(stage, page):
    asked, sockets = [], []

    def serve(socket):
        sockets.append(socket)

        def on_message(text):
            asked.append(text)
            first = len(asked) == 1
            events = [event(1, "metrics", 1, train_loss=3.0), event(2, "metrics", 2, train_loss=2.5)]
            late = [event(2, "metrics", 2, train_loss=9.0), event(3, "metrics", 3, train_loss=2.0)]
            socket.send(
                json.dumps(
                    {
                        "events": events if first else late,
                        "run": run(step=len(asked)),
                        "cursor": 2 if first else 3,
                    }
                )
            )

        socket.on_message(on_message)

    page.route_web_socket("**/ws/run", serve)
    show_run(stage, "/ws/run")
    page.goto(stage.url + "/run")
    expect(page.locator("[data-live-mode]")).to_have_text("Live")
    expect(page.locator("[data-live-step]")).to_have_text("Step 1 of 40")
    sockets[0].close(code=1011)
    expect(page.locator("[data-live-step]")).to_have_text("Step 2 of 40")
    assert asked == ['{"since":0}', '{"since":2}']
    assert table_of(page) == [["1", "3"], ["2", "2.5"], ["3", "2"]], "what was seen before is not drawn again"


def test_a_socket_that_fails_gives_way_to_polling(stage, page):
    page.route_web_socket("**/ws/run", lambda socket: socket.close(code=1011))
    stage.answer["GET /events"] = lambda body: (200, {"events": [], "run": run(step=7), "cursor": 0})
    show_run(stage, "/ws/run")
    page.goto(stage.url + "/run")
    expect(page.locator("[data-live-mode]")).to_have_text("Updated every 2 s (no live connection)")
    expect(page.locator("[data-live-step]")).to_have_text("Step 7 of 40")


def test_a_refused_follower_is_told_and_stops(stage, page):
    page.route_web_socket("**/ws/run", lambda socket: socket.close(code=4403))
    show_run(stage, "/ws/run")
    page.goto(stage.url + "/run")
    expect(page.locator("[data-live-mode]")).to_contain_text("Not allowed")


def test_a_failed_run_shows_the_trainers_sentence_as_text(stage, page):
    bad = run("failed", 3, error_message="loss is not finite <b>row 17</b>")
    stage.answer["GET /events"] = lambda body: (
        200,
        {"events": [event(1, "error", 3, message="<img src=x>")], "run": bad, "cursor": 1},
    )
    show_run(stage)
    page.goto(stage.url + "/run")
    expect(page.locator("[data-live-error]")).to_have_text("loss is not finite <b>row 17</b>")
    expect(page.locator("[data-live-log] .log-error")).to_contain_text("<img src=x>")
    assert page.locator("[data-live-log] img").count() == 0


COUNTS_PAGE = (
    "{% block content %}{% chart 'days' 'A day' data x_time=True y_format='count' %}{% endblock %}"
    "{% block scripts %}" + CHARTS + "{% endblock %}"
)
# What uPlot is asked to write beside its axes; a canvas itself holds no text.
KEEP_WHAT_IS_WRITTEN = """window.written = []; const write = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
    window.written.push(text);
    write.call(this, text, ...rest);
};"""


def test_counts_by_day_have_whole_numbers_and_days_as_the_site_writes_them(stage, page):
    days = [1_795_219_200 + 86_400 * offset for offset in range(7)]  # from 21 November 2026
    data = {"x": days, "series": [{"name": "Demonstrations", "values": [0, 1, 2, 0, 1, 0, 2]}]}
    page.add_init_script(KEEP_WHAT_IS_WRITTEN)
    stage.show("/chart", COUNTS_PAGE, data=data)
    page.goto(stage.url + "/chart")
    expect(page.locator(".chart canvas")).to_be_visible()
    page.wait_for_function("window.written.length > 6")
    written = page.evaluate("window.written")
    assert {"0", "1", "2", "22 Nov"} <= set(written), written
    assert not [text for text in written if "." in text or "/" in text], written
    assert table_of(page)[0] == ["21 Nov 2026", "0"]


def test_a_chart_not_drawn_anew_yet_does_not_widen_the_page(stage, page):
    # As in the moment between the window's new width and the observer's word of it.
    page.add_init_script("window.ResizeObserver = class { observe() {} unobserve() {} disconnect() {} }")
    page.set_viewport_size({"width": 1280, "height": 800})
    stage.show("/chart", CHART_PAGE + "{% endblock %}", data=DATA)
    page.goto(stage.url + "/chart")
    expect(page.locator(".chart canvas")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.locator(".chart canvas").bounding_box()["width"] > 390
    assert reaching_over(page, seconds=1) == []
