"""`manage.py catalogues`: bring locale/ up to date with what the site says, and compile it."""

from __future__ import annotations

from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Collect the texts of pages and scripts into locale/, and compile the catalogues (needs Babel)."

    def handle(self, *args, **options) -> None:
        from annotate import catalogues  # Babel is a tool of developers: the site runs without it

        for language, _ in settings.LANGUAGES:
            if language == settings.LANGUAGE_CODE:
                continue
            for domain in ("django", "djangojs"):
                catalog = catalogues.update(language, domain)
                open_texts = sum(1 for message in catalog if message.id and not any(_strings(message)))
                self.stdout.write(f"{language} {domain}: {len(catalog)} texts, {open_texts} untranslated")


def _strings(message) -> tuple[str, ...]:
    return message.string if isinstance(message.string, tuple) else (message.string or "",)
