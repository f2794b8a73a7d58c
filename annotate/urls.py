"""Where everything is. Rooms bring their own urls; this file only gives them a place."""

from django.contrib import admin
from django.urls import include, path

from annotate import site
from annotate.languages import words

urlpatterns = [
    path("", site.home, name="home"),
    path("api/", include("annotate.api.urls")),
    path("healthz", site.healthz, name="healthz"),
    path("readyz", site.readyz, name="readyz"),
    path("words/<str:language>.js", words, name="words"),
    path("design/", site.design, name="design"),
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("", include("annotate.accounts.urls")),
    path("", include("labeling.urls", namespace="labeling")),
    path("", include("training.urls", namespace="training")),
]

handler400 = "annotate.errors.bad_request"
handler403 = "annotate.errors.permission_denied"
handler404 = "annotate.errors.page_not_found"
handler500 = "annotate.errors.server_error"
