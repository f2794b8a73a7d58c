"""Simulated people who work through the site's own HTTP API. No Django: they see what a program sees."""

from .client import SiteClient, SiteRefusal, SiteUnreachable
from .crew import Crew, Tally, Worker
from .lead import Lead

__all__ = ["Crew", "Lead", "SiteClient", "SiteRefusal", "SiteUnreachable", "Tally", "Worker"]
