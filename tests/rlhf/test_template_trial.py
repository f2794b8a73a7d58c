"""A template that loops or fills the memory takes a process of its own with it, whoever asks and wherever."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time

import pytest

from training.rlhf import template_trial
from training.rlhf.chat import ENCODER_TEMPLATE, MARKED_TEMPLATE, PLAIN_TEMPLATE, _time_limit
from training.rlhf.errors import ModelFolderError
from training.rlhf.model_folders import template_in
from training.rlhf.template_styles import template_of
from training.rlhf.template_trial import check_template

NESTED = "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}"
LOOPS = NESTED + "{% endfor %}{% endfor %}{% endfor %}"
WITH_EVERYTHING = (
    "{% generation %}{% for message in messages %}{% if message.role == 'system' %}"
    "{{ raise_exception('no system') }}{% endif %}{% if loop.index > 9 %}{% break %}{% endif %}"
    "{{ bos_token + message.content + eos_token }}{{ message | tojson }}{% endfor %}{% endgeneration %}"
    "{{ strftime_now('%d') }}{% if tools %}{{ tools }}{% endif %}"
)
BAD = {
    "a loop": (LOOPS, "does it loop?"),
    "a loop after a system's turn only": (
        "{% if messages[0].role == 'system' %}" + LOOPS + "{% endif %}", "does it loop?",
    ),
    "a loop once the end token was written": ("{{ eos_token + 'x' }}" + LOOPS, "does it loop?"),
    "a loop where an answer is marked": (
        "{% generation %}{{ messages | tojson }}" + LOOPS + "{% endgeneration %}", "does it loop?",
    ),
    "one operation without end": ("{{ 9 ** 999999999 }}", "does it loop?"),
    "one text without end": ("{{ 'x' * 10000000000 }}", "1 GiB of memory"),
    "a text that doubles": (
        "{% set n = namespace(x='aa') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
        "1 GiB of memory",
    ),
    "many texts": ("{% for a in range(99999) %}{{ messages[-1].content }}{% endfor %}", "200,000 characters"),
}  # fmt: skip
GOOD = {
    "marked": MARKED_TEMPLATE,
    "plain": PLAIN_TEMPLATE,
    "encoder": ENCODER_TEMPLATE,
    "gpt3": template_of("gpt3", separator="\\n\\n###\\n\\n", stop_sequence=" END"),
    "with everything": WITH_EVERYTHING,
    "none": "",
    "a broken one, of which the row tells": "{% if",
    "one that refuses": "{{ raise_exception('never') }}",
}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(template_trial, "SECONDS", 0.7)


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_end_is_refused_with_what_to_do(name, monkeypatch):
    template, words = BAD[name]
    if words != "does it loop?":  # it ends by another limit, however slow the machine is
        monkeypatch.setattr(template_trial, "SECONDS", 60.0)
    with pytest.raises(ModelFolderError, match=re.escape(words)) as refused:
        check_template(template)
    assert refused.value.message.endswith("mend it, or give another (chat_template)")


@pytest.mark.parametrize("name", GOOD)
def test_what_ends_is_let_through(name):
    check_template(GOOD[name])


def test_it_is_tried_once(monkeypatch):
    check_template(MARKED_TEMPLATE)
    monkeypatch.setattr(template_trial.subprocess, "run", lambda *_, **__: pytest.fail("tried again"))
    check_template(MARKED_TEMPLATE)


def test_a_template_finds_nothing_of_ours_in_its_process(monkeypatch):
    seen = {}

    def run(command, **named):
        seen.update(named, command=command)
        raise template_trial.subprocess.TimeoutExpired(command, 1)

    monkeypatch.setenv("SECRET_KEY", "secret")
    monkeypatch.setattr(template_trial.subprocess, "run", run)
    check_template("{{ 'only here' }}")  # where nothing is known in time, nothing is refused
    assert "-I" in seen["command"] and not set(seen["env"]) - {"PATH", "LD_LIBRARY_PATH"}


def test_the_template_of_a_folder_is_found_where_the_library_looks(tmp_path):
    assert template_in(tmp_path) == ""
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "old"}')
    assert template_in(tmp_path) == "old"
    (tmp_path / "chat_template.jinja").write_text("new")
    assert template_in(tmp_path) == "new"


def test_each_of_several_templates_is_tried(tmp_path):
    several = [
        {"name": "default", "template": PLAIN_TEMPLATE},
        {"name": "tools", "template": "{{ 9 ** 999999999 }}"},
    ]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": several}))
    found = template_in(tmp_path)
    assert list(found) == ["default", "tools"]
    with pytest.raises(ModelFolderError):
        check_template(found)
    check_template({"default": PLAIN_TEMPLATE})


def test_a_trial_that_fails_itself_is_no_verdict_and_is_not_remembered(monkeypatch):
    """A child that cannot be started, or dies of something else, says nothing about the template."""
    ends = [OSError("no more processes"), (1, "no module"), (-9, ""), (0, '{"characters": 300000}')]

    def run(command, **named):
        end = ends.pop(0)
        if isinstance(end, OSError):
            raise end
        return subprocess.CompletedProcess(command, end[0], stdout=end[1], stderr=end[1])

    monkeypatch.setattr(template_trial.subprocess, "run", run)
    for _ in range(3):
        check_template("tried four times")
    with pytest.raises(ModelFolderError, match="characters"):
        check_template("tried four times")
    assert ends == []


def limited(seconds: float, work) -> list[BaseException]:
    """What a thread ends with that does `work` within a limit."""
    found: list[BaseException] = []

    def run() -> None:
        try:
            with _time_limit(seconds):
                work()
        except BaseException as error:  # noqa: BLE001 - it is what we ask for
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    return found


def loop() -> None:
    while True:
        pass


def test_rendering_ends_in_a_thread_too():
    [error] = limited(0.3, loop)
    assert isinstance(error, TimeoutError) and "does it loop?" in str(error)


def test_what_swallows_every_error_ends_too():
    def stubborn() -> None:
        while True:
            try:
                loop()
            except Exception:  # noqa: BLE001, S112 - as foreign code may
                continue

    [error] = limited(0.3, stubborn)
    assert isinstance(error, TimeoutError)


def test_who_is_done_in_time_is_left_alone():
    assert limited(0.2, lambda: None) == []
    assert limited(30.0, lambda: time.sleep(0.05)) == []

    def goes_on() -> None:
        with _time_limit(0.1):
            pass
        time.sleep(0.4)  # the limit is over with its block

    assert limited(30.0, goes_on) == []
