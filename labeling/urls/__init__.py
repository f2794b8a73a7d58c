"""Pages of the labeling app, grouped by room."""

from . import data, people, quality, work

app_name = "labeling"
urlpatterns = people.urlpatterns + work.urlpatterns + quality.urlpatterns + data.urlpatterns
