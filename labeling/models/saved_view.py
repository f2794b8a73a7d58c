from __future__ import annotations

from django.conf import settings
from django.db import models

from .project import Project


class SavedView(models.Model):
    """A list's search, filters and order under a name: somebody's own, or shared with the project's leads."""

    # None: of a list that spans projects, and then nobody's but the owner's.
    project = models.ForeignKey(Project, models.CASCADE, null=True, related_name="saved_views")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="saved_views")
    page = models.CharField(max_length=40)  # which list: "prompts", "people", …
    name = models.CharField(max_length=80)
    query = models.CharField(max_length=1000, blank=True)  # "status=open&sort=name", without the "?"
    is_shared = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "owner", "page", "name"], name="view_name_once"),
            models.UniqueConstraint(
                fields=["owner", "page", "name"],
                condition=models.Q(project=None),
                name="own_view_name_once",
            ),
        ]
        indexes = [models.Index(fields=["project", "page"], name="views_of_a_list")]

    def __str__(self) -> str:
        return self.name


class DefaultView(models.Model):
    """The view with which a list opens for one person."""

    project = models.ForeignKey(Project, models.CASCADE, null=True, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    page = models.CharField(max_length=40)
    view = models.ForeignKey(SavedView, models.CASCADE, related_name="defaults")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user", "page"], name="default_view_once"),
            models.UniqueConstraint(
                fields=["user", "page"], condition=models.Q(project=None), name="own_default_view_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} opens {self.page} with {self.view}"
