"""REST: the ledger, day totals, corrections, rates, payroll."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.response import Response
from rest_framework.views import APIView

from annotate.accounts.models import User
from annotate.api.bodies import valid_input, valid_query
from annotate.errors import Invalid
from labeling import timesheet
from labeling.models import Activity, LedgerEntry, Rate, RateUnit, work_choices
from labeling.pay_forms import DAY_LIMITS
from labeling.permissions import Action, can
from labeling.services import pay

from .base import LIST_CREATE, PROJECT, ProjectRows, ProjectViewMixin

PERIOD = [
    OpenApiParameter("first", str, description="First day (2026-11-01); the current month where left out."),
    OpenApiParameter("last", str, description="Last day."),
    OpenApiParameter("person", int, description="Membership id."),
    OpenApiParameter("work", str, description="Kind of work."),
]


class EntrySerializer(serializers.ModelSerializer):
    """One entry of the ledger; entries are never changed."""

    person = serializers.CharField(source="user.pseudonym")
    activity = serializers.ChoiceField(choices=Activity.choices)
    by = serializers.CharField(source="created_by.pseudonym", default=None, allow_null=True)

    class Meta:
        model = LedgerEntry
        fields = [
            "id", "person", "day", "timezone", "work", "activity", "seconds", "claimed_seconds", "pieces",
            "submission", "batch", "source", "started_at", "ended_at", "reason", "by", "created_at",
        ]  # fmt: skip
        extra_kwargs = {"batch": {"allow_null": True, "help_text": "null but for leads."}}

    def to_representation(self, entry):
        row = super().to_representation(entry)
        if not self.context.get("is_lead"):
            row["batch"] = None  # its number would tell gold from work (services.blind.opaque_number)
        return row


class CorrectionInput(serializers.Serializer):
    person = serializers.IntegerField(help_text="Membership id.")
    day = serializers.DateField()
    work = serializers.ChoiceField(choices=work_choices())
    seconds = serializers.IntegerField(default=0, help_text="Below zero to take time off.")
    pieces = serializers.IntegerField(default=0)
    reason = serializers.CharField(max_length=500)
    idempotency_key = serializers.CharField(max_length=80)


class Ledger(ProjectRows):
    """Entries: one's own, everybody's for leads. Posting adds a correction."""

    serializer_class = EntrySerializer
    policy = {
        "list": Action.VIEW_OWN_WORK,
        "create": Action.CORRECT_TIME,
    }
    filterset_fields = {"day": ["exact", "gte", "lte"], "work": ["exact"], "activity": ["exact"]}
    ordering_fields = ["id", "day"]
    queryset = LedgerEntry.objects.none()

    def get_queryset(self):
        own = None if self.is_lead else self.request.user.pk
        return timesheet.entries(project=self.project, user_id=own)

    @property
    def is_lead(self) -> bool:
        return can(self.membership, Action.VIEW_PAY)

    def get_serializer_context(self):
        known = hasattr(self, "membership")  # not while the schema is written
        return {**super().get_serializer_context(), "is_lead": known and self.is_lead}

    @extend_schema(
        request=CorrectionInput,
        responses={201: EntrySerializer},
        examples=[
            OpenApiExample(
                "A quarter of an hour less",
                value={
                    "person": 3, "day": "2026-11-24", "work": "ranking", "seconds": -900, "pieces": 0,
                    "reason": "The page was open during lunch.", "idempotency_key": "c-2026-11-24-3",
                },
                request_only=True,
            )
        ],
    )  # fmt: skip
    def create(self, request, slug):
        """Correct somebody's day: an entry beside what is there, with a reason; they are told."""
        data = valid_input(CorrectionInput, request)
        user = _person(self.project, data.pop("person"))
        entry = pay.correct_time(project=self.project, user=user, acting_user=request.user, **data)
        return Response(self.get_serializer(entry).data, status=status.HTTP_201_CREATED)


class DaySerializer(serializers.Serializer):
    person = serializers.CharField()
    day = serializers.DateField()
    work = serializers.CharField()
    seconds = serializers.IntegerField()
    pieces = serializers.IntegerField()
    amount = serializers.CharField(
        allow_null=True, help_text="Left out where pay is not shown.", required=False
    )
    currency = serializers.CharField(allow_null=True, required=False)


class PeriodQuery(serializers.Serializer):
    first = serializers.DateField(required=False, validators=DAY_LIMITS)
    last = serializers.DateField(required=False, validators=DAY_LIMITS)
    person = serializers.IntegerField(required=False)
    work = serializers.ChoiceField(choices=work_choices(), required=False)

    @classmethod
    def read(cls, view, request) -> dict:
        data = valid_query(cls, request)
        today = timesheet.today_of(request.user)
        person = data.get("person")
        return {
            "project": view.project,
            "period": timesheet.as_period(data.get("first"), data.get("last"), today),
            "user_id": _person(view.project, person).pk if person is not None else None,
            "work": data.get("work", ""),
        }


class LedgerDays(ProjectViewMixin, APIView):
    policy = {"get": Action.VIEW_OWN_WORK}

    @extend_schema(parameters=PERIOD, responses=DaySerializer(many=True))
    def get(self, request, slug):
        """Seconds and pieces a day: one's own; of everybody (or of `person`) for leads."""
        asked = PeriodQuery.read(self, request)
        is_lead = can(self.membership, Action.VIEW_PAY)
        if not is_lead:
            asked["user_id"] = request.user.pk
        lines = timesheet.day_lines(**asked)
        users = User.objects.in_bulk({line.work.user_id for line in lines})
        shown = is_lead or self.project.settings.show_pay
        return Response([_day(line, users, shown) for line in lines])


def _day(line, users, shows_pay: bool) -> dict:
    day = line.work
    row = {
        "person": users[day.user_id].pseudonym, "day": day.day, "work": day.work, "seconds": day.seconds,
        "pieces": day.pieces,
    }  # fmt: skip
    if shows_pay:
        row |= {"amount": _money(line.amount), "currency": line.currency or None}
    return row


class PayRowSerializer(serializers.Serializer):
    person = serializers.CharField(source="user.pseudonym")
    name = serializers.CharField(source="user.name")
    work = serializers.CharField()
    days = serializers.IntegerField()
    seconds = serializers.IntegerField()
    hours = serializers.CharField()
    pieces = serializers.IntegerField()
    rate = serializers.CharField(source="rate.amount", default=None, allow_null=True)
    unit = serializers.CharField(source="rate.unit", default=None, allow_null=True)
    currency = serializers.CharField(source="rate.currency", default=None, allow_null=True)
    amount = serializers.CharField(allow_null=True)


class PayrollSerializer(serializers.Serializer):
    first = serializers.DateField(source="period.first")
    last = serializers.DateField(source="period.last")
    rows = PayRowSerializer(many=True)
    totals = serializers.DictField(child=serializers.CharField(), help_text="By currency.")
    seconds = serializers.IntegerField()
    pieces = serializers.IntegerField()


class Payroll(ProjectViewMixin, APIView):
    policy = {"get": Action.VIEW_PAY}

    @extend_schema(parameters=PERIOD, responses=PayrollSerializer)
    def get(self, request, slug):
        """Hours, pieces and pay in a period: a row per person, kind of work and rate. Amounts are texts."""
        return Response(PayrollSerializer(timesheet.payroll(**PeriodQuery.read(self, request))).data)


class RateSerializer(serializers.ModelSerializer):
    person = serializers.CharField(source="user.pseudonym", default=None, allow_null=True)
    by = serializers.CharField(source="created_by.pseudonym")

    class Meta:
        model = Rate
        fields = [
            "id", "work", "person", "unit", "amount", "currency", "valid_from", "by", "created_at",
        ]  # fmt: skip


class RateInput(serializers.Serializer):
    work = serializers.ChoiceField(choices=work_choices())
    person = serializers.IntegerField(
        required=False, allow_null=True, help_text="Membership id; left out for everybody."
    )
    unit = serializers.ChoiceField(choices=RateUnit.choices)
    amount = serializers.DecimalField(
        max_digits=12, decimal_places=4, min_value=0, allow_null=True,
        help_text="null, for a person: the project's rate holds again.",
    )  # fmt: skip
    currency = serializers.RegexField(r"^[A-Z]{3}$")
    valid_from = serializers.DateField()


class Rates(ProjectRows):
    serializer_class = RateSerializer
    policy = {"list": Action.VIEW_PAY, "create": Action.SET_RATES}
    filterset_fields = ["work", "valid_from"]
    queryset = Rate.objects.none()

    def get_queryset(self):
        return Rate.objects.filter(project=self.project).select_related("user", "created_by")

    @extend_schema(
        request=RateInput,
        responses={201: RateSerializer},
        examples=[
            OpenApiExample(
                "By the hour",
                value={
                    "work": "ranking", "unit": "hour", "amount": "18.50", "currency": "EUR",
                    "valid_from": "2026-12-01",
                },
                request_only=True,
            )
        ],
    )  # fmt: skip
    def create(self, request, slug):
        """Set what a kind of work is paid from a day on. Work done before keeps its price."""
        data = valid_input(RateInput, request)
        person = data.pop("person", None)
        user = _person(self.project, person) if person is not None else None
        rate = pay.set_rate(project=self.project, user=user, acting_user=request.user, **data)
        return Response(RateSerializer(rate).data, status=status.HTTP_201_CREATED)


def _person(project, pk: int) -> User:
    member = project.memberships.select_related("user").filter(pk=pk).first()
    if member is None:
        raise Invalid("There is no such person in this project.", field="person")
    return member.user


def _money(amount) -> str | None:
    return None if amount is None else str(amount)


urlpatterns = [
    path(f"{PROJECT}ledger/", Ledger.as_view(LIST_CREATE), name="api_ledger"),
    path(f"{PROJECT}ledger/days/", LedgerDays.as_view(), name="api_ledger_days"),
    path(f"{PROJECT}payroll/", Payroll.as_view(), name="api_payroll"),
    path(f"{PROJECT}rates/", Rates.as_view(LIST_CREATE), name="api_rates"),
]
