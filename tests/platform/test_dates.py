from datetime import UTC, datetime

from django.template import Context, Template


def test_days_and_times_are_written_alike_where_no_format_is_named():
    shown = Template("{{ at }} | {{ at|date }}").render(
        Context({"at": datetime(2026, 11, 21, 16, 5, tzinfo=UTC)})
    )
    assert shown == "21 Nov 2026 16:05 | 21 Nov 2026"
