"""REST: the numbers of the people page and of the overview, and saved views."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.response import Response
from rest_framework.views import APIView

from annotate.api.bodies import takes_nothing, valid_input, valid_query
from annotate.api.filters import OF_PAGES
from annotate.errors import Invalid
from annotate.pagination import Pages
from annotate.words import _
from labeling import dashboard, people_report, quality_page, trends
from labeling.models import Figure, MembershipStatus, Role, SavedView
from labeling.permissions import Action
from labeling.saved_views import LISTS, visible_views
from labeling.services import saved_views

from .base import LIST_CREATE, PROJECT, ProjectRows, ProjectViewMixin

SHARE = "Share of reviewed work that was accepted as it was; null where nothing was reviewed."


class FigureSerializer(serializers.ModelSerializer):
    class Meta:
        model = Figure
        fields = [
            "agreement", "agreement_low", "agreement_high", "agreement_pairs", "position", "position_low",
            "position_high", "position_pairs", "computed_at",
        ]  # fmt: skip


class GoldSerializer(serializers.Serializer):
    passed = serializers.IntegerField()
    seen = serializers.IntegerField()


class AcceptanceSerializer(serializers.Serializer):
    """How work did in review. `share` is accepted of reviewed; null where nothing was reviewed."""

    share = serializers.FloatField(allow_null=True)
    reviewed = serializers.IntegerField()
    accepted = serializers.IntegerField(help_text="As it was: what was fixed is not among them.")
    fixed = serializers.IntegerField()
    returned = serializers.IntegerField()
    rejected = serializers.IntegerField()
    unreviewed = serializers.IntegerField(help_text="Counts without a review; in no share.")


class PersonFiguresSerializer(serializers.Serializer):
    member = serializers.IntegerField(source="member.pk")
    name = serializers.CharField(source="member.user.name")
    pseudonym = serializers.CharField(source="member.user.pseudonym")
    role = serializers.CharField(source="member.role")
    status = serializers.CharField(source="member.status")
    pieces = serializers.DictField(child=serializers.IntegerField(), help_text="By kind of task.")
    submissions = serializers.DictField(
        child=serializers.IntegerField(), source="by_status", help_text="By state."
    )
    acceptance = serializers.FloatField(allow_null=True, help_text=SHARE)
    review = AcceptanceSerializer()
    pace = serializers.FloatField(allow_null=True, help_text="Pieces an active hour of labeling.")
    seconds = serializers.IntegerField()
    reviews = serializers.IntegerField()
    review_seconds = serializers.IntegerField()
    today_seconds = serializers.IntegerField()
    week_seconds = serializers.IntegerField()
    trend = serializers.ListField(
        child=serializers.IntegerField(), help_text="Pieces a day of the last 14 days, today last."
    )
    skips = serializers.DictField(child=serializers.IntegerField(), help_text="By reason.")
    quality = FigureSerializer(source="figure", allow_null=True)
    gold = GoldSerializer(allow_null=True)


class FiguresQuery(serializers.Serializer):
    search = serializers.CharField(required=False, allow_blank=True)
    role = serializers.ChoiceField(choices=Role.choices, required=False, allow_blank=True)
    status = serializers.ChoiceField(choices=MembershipStatus.choices, required=False, allow_blank=True)
    sort = serializers.CharField(
        required=False, allow_blank=True, help_text="As on the page: name, pieces, acceptance, pace, …"
    )
    page = serializers.CharField(required=False)
    page_size = serializers.CharField(required=False)


class PeopleFigures(ProjectViewMixin, APIView):
    policy = {"get": Action.VIEW_PEOPLE}
    own_parameters = {"get": ("search", "role", "status", "sort", *OF_PAGES)}

    @extend_schema(
        parameters=[FiguresQuery],
        responses=PersonFiguresSerializer(many=True),
    )
    def get(self, request, slug):
        """What each member did here, how fast, how well."""
        rows = people_report.members_of(self.project)
        query = valid_query(FiguresQuery, request)
        if text := query.get("search"):
            rows = people_report.search_members(rows, text)
        rows = rows.filter(**{name: query[name] for name in ("role", "status") if query.get(name)})
        orders = people_report.sort_orders(self.project)
        sort = query.get("sort") or "name"
        if sort not in orders:
            raise Invalid(_("Choose one of %(known)s.") % {"known": ", ".join(orders)}, field="sort")
        order = orders[sort][1]
        pages = Pages()
        page = pages.paginate_queryset(rows.order_by(*order), request, view=self)
        figures = people_report.figures_of(self.project, page or [])
        return pages.get_paginated_response(PersonFiguresSerializer(figures, many=True).data)


class MoneySerializer(serializers.DictField):
    child = serializers.CharField()


class ForecastSerializer(serializers.Serializer):
    days = serializers.FloatField()
    low = serializers.FloatField(help_text="Eight of ten such backlogs end between low and high.")
    high = serializers.FloatField()
    a_day = serializers.FloatField()


class ProgressSerializer(serializers.Serializer):
    total = serializers.IntegerField()
    submitted = serializers.IntegerField()
    in_work = serializers.IntegerField()
    left = serializers.IntegerField()
    acceptance = serializers.FloatField(allow_null=True, help_text=SHARE)
    review = AcceptanceSerializer()
    forecast = ForecastSerializer(allow_null=True)
    ends_on = serializers.DateField(allow_null=True)
    cost = MoneySerializer(help_text="By currency.")
    cost_at_end = MoneySerializer()


class KindProgressSerializer(ProgressSerializer):
    kind = serializers.CharField()
    accepted = serializers.IntegerField(help_text="Counts, reviewed or not.")
    awaiting_review = serializers.IntegerField()


class BatchProgressSerializer(ProgressSerializer):
    batch = serializers.IntegerField(source="batch.pk")
    name = serializers.CharField(source="batch.name")
    kind = serializers.CharField(source="batch.kind")
    quality = FigureSerializer(source="figure", allow_null=True)


class DashboardSerializer(serializers.Serializer):
    kinds = KindProgressSerializer(many=True)
    batches = BatchProgressSerializer(many=True)
    cost = MoneySerializer()
    cost_at_end = MoneySerializer()
    unpriced_seconds = serializers.IntegerField()
    quality = FigureSerializer(source="figure", allow_null=True)


class AcceptancePointSerializer(serializers.Serializer):
    day = serializers.DateField()
    reviewed = serializers.IntegerField(source="size")
    accepted = serializers.IntegerField(source="part", help_text="As it was.")


class AgreementPointSerializer(serializers.Serializer):
    day = serializers.DateField(help_text="The first of its week or four weeks, in older projects.")
    agreement = serializers.FloatField(source="value")
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    comparisons = serializers.IntegerField(source="size")


class TrendsSerializer(serializers.Serializer):
    acceptance = AcceptancePointSerializer(many=True, help_text="Of the last 30 days with reviews.")
    agreement = AgreementPointSerializer(many=True)


class DashboardTrends(ProjectViewMixin, APIView):
    policy = {"get": Action.VIEW_OVERVIEW}

    @extend_schema(responses=TrendsSerializer)
    def get(self, request, slug):
        """Acceptance and agreement over time, as worked out in the background."""
        figure = Figure.objects.filter(project=self.project, batch=None, user=None).first()
        report = quality_page.report_of(self.project)
        curves = {
            "acceptance": trends.acceptance(figure).points,
            "agreement": trends.agreement(report).points,
        }
        return Response(TrendsSerializer(curves).data)


class DashboardView(ProjectViewMixin, APIView):
    policy = {"get": Action.VIEW_OVERVIEW}

    @extend_schema(responses=DashboardSerializer)
    def get(self, request, slug):
        """Progress, expected end, acceptance, agreement, cost: of the project, by kind, by open batch."""
        return Response(DashboardSerializer(dashboard.dashboard(self.project)).data)


class ViewSerializer(serializers.ModelSerializer):
    owner = serializers.CharField(source="owner.pseudonym")

    class Meta:
        model = SavedView
        fields = ["id", "page", "name", "query", "is_shared", "owner", "updated_at"]


class ViewInput(serializers.Serializer):
    page = serializers.ChoiceField(choices=sorted(LISTS), help_text="Which list.")
    name = serializers.CharField(max_length=80)
    query = serializers.CharField(max_length=2000, allow_blank=True, help_text="status=open&sort=name")
    is_shared = serializers.BooleanField(default=False)
    is_default = serializers.BooleanField(default=False)


class Views(ProjectRows):
    """Saved views of lists: one's own, and for leads those that are shared."""

    serializer_class = ViewSerializer
    policy = {"list": Action.SAVE_VIEWS, "create": Action.SAVE_VIEWS, "destroy": Action.SAVE_VIEWS}
    filterset_fields = ["page", "is_shared"]
    queryset = SavedView.objects.none()

    def get_queryset(self):
        is_lead = self.membership.is_at_least(Role.LEAD)
        return visible_views(project=self.project, user=self.request.user, is_lead=is_lead)

    @extend_schema(
        request=ViewInput,
        responses={201: ViewSerializer},
        examples=[
            OpenApiExample(
                "Slow ones",
                value={"page": "people", "name": "Slow", "query": "sort=pace", "is_shared": True},
                request_only=True,
            )
        ],
    )
    def create(self, request, slug):
        """Keep a list's search, filters and order under a name; the same name again replaces it."""
        view = saved_views.save_view(
            project=self.project,
            membership=self.membership,
            acting_user=request.user,
            **valid_input(ViewInput, request),
        )
        return Response(ViewSerializer(view).data, status=status.HTTP_201_CREATED)

    @takes_nothing(responses={204: None})
    def destroy(self, request, slug, pk):
        view = saved_views.find_view(
            project=self.project, membership=self.membership, user=request.user, pk=pk
        )
        saved_views.delete_view(view=view, acting_user=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


urlpatterns = [
    path(f"{PROJECT}people/", PeopleFigures.as_view(), name="api_people"),
    path(f"{PROJECT}dashboard/", DashboardView.as_view(), name="api_dashboard"),
    path(f"{PROJECT}dashboard/trends/", DashboardTrends.as_view(), name="api_dashboard_trends"),
    path(f"{PROJECT}views/", Views.as_view(LIST_CREATE), name="api_views"),
    path(f"{PROJECT}views/<int:pk>/", Views.as_view({"delete": "destroy"}), name="api_view"),
]
