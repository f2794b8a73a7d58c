"""REST routes of learning."""

from django.urls import include, path
from rest_framework.routers import DynamicRoute, Route, SimpleRouter

from labeling.api.base import PROJECT

from .checkpoints import Checkpoints, Rounds
from .continuations import ContinuationOfRun, Continuations
from .estimates import Estimate
from .runs import Presets, Runs, Sampling, Stages
from .texts import Texts


def _named_as_elsewhere(route: Route | DynamicRoute) -> Route | DynamicRoute:
    """The router's "api_run-list", "-detail" and "-cancel" as "api_runs", "api_run" and "api_run_cancel"."""
    if isinstance(route, DynamicRoute):
        return route._replace(name="{basename}_{url_name}")
    return route._replace(name="{basename}" if route.detail else "{basename}s")


class Router(SimpleRouter):
    routes = [_named_as_elsewhere(route) for route in SimpleRouter.routes]


router = Router()
router.register("runs", Runs, basename="api_run")
router.register("checkpoints", Checkpoints, basename="api_checkpoint")
router.register("presets", Presets, basename="api_preset")
router.register("rounds", Rounds, basename="api_round")

urlpatterns = [
    path("training/stages/", Stages.as_view(), name="api_stages"),
    path(f"{PROJECT}continuations/", Continuations.as_view(), name="api_continuations"),
    path(f"{PROJECT}continuations/<int:number>/", ContinuationOfRun.as_view(), name="api_continuation"),
    path(f"{PROJECT}runs/estimate/", Estimate.as_view(), name="api_run_estimate"),
    path(f"{PROJECT}sample/", Sampling.as_view(), name="api_sample"),
    path(f"{PROJECT}texts/", Texts.as_view(), name="api_texts"),
    path(PROJECT, include(router.urls)),
]
