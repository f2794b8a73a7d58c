"""The API's addresses: each room adds its own `api/urls.py` below `/api/`."""

from importlib.util import find_spec

from django.urls import include, path, re_path

from annotate.api import views

urlpatterns = [
    path("schema/", views.Schema.as_view(), name="api_schema"),
    path("docs/", views.Docs.as_view(url_name="api_schema"), name="api_docs"),
    path("me/", views.Me.as_view(), name="api_me"),
    path("me/preferences/", views.Preferences.as_view(), name="api_preferences"),
    path("tokens/", views.Tokens.as_view(), name="api_tokens"),
    path("tokens/<str:digest>/", views.Token.as_view(), name="api_token"),
    *(path("", include(room)) for room in ("labeling.api.urls", "training.api.urls") if find_spec(room)),
    re_path(r"", views.Nothing.as_view()),
]
