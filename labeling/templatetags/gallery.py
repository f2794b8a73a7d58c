"""Sample content for the gallery page, so that the gallery needs no view of its own."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

from django import forms, template
from django.core.paginator import Paginator
from django.utils.functional import cached_property

register = template.Library()

GUIDELINE = """## What a good answer does

1. **Answers what was asked**, and only that.
2. Says it in *one or two sentences*.
3. Is polite, and never repeats itself.

| Flag | Use it when |
|---|---|
| made-up facts | a claim cannot be true |
| did not follow | the instruction was ignored |

> An honest "I don't know" ranks below a correct answer and above a wrong one.

Use `code` for names of commands. [More](https://example.org/guide).
"""

COMPLETIONS = [
    "The capital of Australia is **Canberra**. It was chosen in 1908, between Sydney and Melbourne.",
    "Sydney is the capital of Australia, it is the biggest city and it is the capital.",
    "Canberra.",
    "I am not completely sure, but I believe it is Canberra; please check an atlas before you rely on it.",
]


class SampleForm(forms.Form):
    """One field of each kind, some of them with errors."""

    name = forms.CharField(
        help_text="Shown to everyone in the project.", max_length=60, initial="Sample project"
    )
    kind = forms.ChoiceField(choices=[("demo", "Demonstrations"), ("rank", "Rankings")])
    overlap = forms.IntegerField(min_value=1, max_value=9, help_text="How many people do each task, 1 to 9.")
    policy = forms.ChoiceField(
        widget=forms.RadioSelect,
        choices=[("all", "Review everything"), ("sample", "Review a sample")],
        initial="all",
    )
    note = forms.CharField(widget=forms.Textarea(attrs={"rows": 3, "maxlength": 500}), required=False)
    blind = forms.BooleanField(label="Hide which model wrote a completion", required=False, initial=True)
    file = forms.FileField(required=False, help_text="JSONL, JSON, CSV, TSV or text, also gzipped.")


def _curve(start: float, end: float, length: int, wobble: float) -> list[float]:
    return [
        round(
            end
            + (start - end) * math.exp(-i / (length / 4))
            + wobble * math.sin(i * 1.7) * math.cos(i * 0.3),
            4,
        )
        for i in range(length)
    ]


class Gallery:
    """Everything the gallery template shows, made when asked for."""

    guideline = GUIDELINE
    states = [
        "queued", "running", "succeeded", "failed", "cancelled", "accepted", "returned", "rejected", "fixed",
        "open", "leased", "submitted",
    ]  # fmt: skip
    trend = [3, 5, 4, 8, 9, 7, 12, 14, 13, 18]
    turns = [
        {"role": "system", "content": "Answer in one or two sentences."},
        {"role": "user", "content": "What do otters eat?"},
        {"role": "assistant", "content": "Mostly **fish**, crabs and sea urchins."},
        {"role": "user", "content": "<script>alert(1)</script> and in winter?"},
        {"role": "user", "content": "מה אוכלות לוטרות? 海獭吃什么？"},
    ]
    flags = [
        {"key": "instruction", "label": "did not follow the instruction"},
        {"key": "made_up", "label": "made-up facts"},
        {"key": "harmful", "label": "harmful"},
    ]
    margins = [
        {"value": "significantly", "label": "significantly better"},
        {"value": "clearly", "label": "clearly better"},
        {"value": "slightly", "label": "slightly better"},
        {"value": "negligibly", "label": "negligibly better"},
    ]
    completions = [{"id": 41 + i, "text": text} for i, text in enumerate(COMPLETIONS)]
    loop = [
        {"label": "Guideline", "state": "done", "note": "version 3", "icon": "guideline", "href": "#loop"},
        {"label": "Demonstrations", "state": "done", "note": "212 of 212", "icon": "work", "href": "#loop"},
        {"label": "Review", "state": "done", "note": "198 accepted", "icon": "review"},
        {"label": "SFT dataset", "state": "done", "note": "v1, 198 rows", "icon": "dataset"},
        {"label": "SFT run", "state": "done", "note": "loss 1.42", "icon": "runs"},
        {"label": "Sample completions", "state": "done", "note": "4 × 300", "icon": "sparkles"},
        {
            "label": "Rankings",
            "state": "ready",
            "note": "84 wait for people",
            "icon": "scale",
            "href": "#loop",
        },
        {"label": "Review", "state": "running", "note": "216 accepted", "icon": "review"},
        {"label": "Comparison dataset", "icon": "dataset"},
        {"label": "Reward run", "state": "failed", "note": "out of memory", "icon": "runs"},
        {"label": "PPO run", "icon": "runs"},
        {"label": "Better model", "icon": "checkpoint"},
    ]

    @cached_property
    def form(self) -> SampleForm:
        data = {
            "name": "Sample project",
            "kind": "demo",
            "overlap": "40",
            "policy": "all",
            "note": "Ask first.",
        }
        return SampleForm(data)

    @cached_property
    def page(self) -> Any:
        return Paginator(range(1284), 50).page(3)

    @cached_property
    def people(self) -> list[SimpleNamespace]:
        rows = [("annotator-7f3k2q", 184, 0.91, "active"), ("annotator-m2x9ab", 97, 0.78, "paused")]
        return [SimpleNamespace(name=n, done=d, rate=r, state=s, trend=self.trend) for n, d, r, s in rows]

    @cached_property
    def loss(self) -> dict[str, Any]:
        steps = list(range(0, 600, 10))
        validation = [v if i % 5 == 0 else None for i, v in enumerate(_curve(3.4, 1.55, 60, 0.02))]
        return {
            "x": steps,
            "series": [
                {"name": "train loss", "key": "train_loss", "values": _curve(3.6, 1.32, 60, 0.07)},
                {"name": "validation loss", "key": "validation_loss", "values": validation},
            ],
        }

    @cached_property
    def reward(self) -> dict[str, Any]:
        names = ["reward", "KL", "entropy", "length", "EOS rate", "value loss"]
        return {
            "x": list(range(80)),
            "series": [
                {"name": name, "values": _curve(0.1 + i / 9, 1.2 - i / 7, 80, 0.03)}
                for i, name in enumerate(names)
            ],
        }


@register.simple_tag
def gallery() -> Gallery:
    """`{% gallery as sample %}`."""
    return Gallery()
