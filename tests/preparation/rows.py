"""Rows for the tests of preparation, and the report on them."""

from labeling.preparation import Options, Plan, Unit, look_through


def user(text):
    return ({"role": "user", "content": text},)


def shown(prompt, answer, row=1, **more):
    return Unit(row, user(prompt), (answer,), **more)


def ranked(prompt, *answers, ranks=None, row=1, **more):
    return Unit(row, user(prompt), answers, tuple(ranks or range(1, len(answers) + 1)), **more)


def options(**more):
    if (held_out := more.pop("evaluation", None)) is not None:
        more["evaluation"] = lambda: held_out
    return Options(**{"count_tokens": lambda text: len(text.split()), **more})


def findings_of(units, **more):
    """{key: finding} of what is said about the rows."""
    report = look_through(lambda: iter(units), options(**more))
    return {finding["key"]: finding for finding in report.findings}


def fixed(units, *names, **more):
    """(rows that stay, {fix: rows}) after the fixes."""
    plan = Plan(iter(units), names, options(**more))
    kept = [plan.carry_out(index, unit)[0] for index, unit in enumerate(units)]
    return [unit for unit in kept if unit is not None], dict(plan.counts)
