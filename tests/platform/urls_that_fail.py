"""Views that fail in every way a view can, for the tests of how that is answered."""

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404
from django.urls import path
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from annotate import errors
from annotate.urls import *  # noqa: F403 - the site's own addresses and handlers
from annotate.urls import urlpatterns as site_patterns

FAILURES = {
    "invalid": errors.Invalid(
        "Too long.", field="text", hint="At most 10.", details=[{"row": 3, "message": "x"}]
    ),
    "conflict": errors.Conflict("Somebody was faster."),
    "missing": Http404("No Task matches the given query."),
    "forbidden": PermissionDenied(),
    "database": OperationalError("server closed the connection: secret-host"),
    "bug": ZeroDivisionError("secret detail"),
}


@login_not_required
def page(request, name):
    raise FAILURES[name]


class Endpoint(APIView):
    permission_classes = [AllowAny]

    def get(self, request, name):
        raise FAILURES[name]


class Inner(serializers.Serializer):
    score = serializers.IntegerField(max_value=7)


class Body(serializers.Serializer):
    text = serializers.CharField(max_length=5)
    scores = Inner(many=True)


class Validating(APIView):
    permission_classes = [AllowAny]

    def post(self, request):
        Body(data=request.data).is_valid(raise_exception=True)
        return Response({})


class ValidatingMany(APIView):
    permission_classes = [AllowAny]

    def post(self, request):
        Body(data=request.data, many=True).is_valid(raise_exception=True)
        return Response({})


urlpatterns = [
    path("fail/<str:name>/", page),
    path("api/fail/<str:name>/", Endpoint.as_view()),
    path("api/validate/", Validating.as_view()),
    path("api/validate-many/", ValidatingMany.as_view()),
    *site_patterns,
]
