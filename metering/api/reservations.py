"""/reservations and /estimates: GPUs held before a job starts, and what a job would cost. The tenant is the API key's."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from metering.ledger.event_parsing import MAX_DIMENSION_TEXT
from tenants import access
from tenants.api.documentation import example, operation, page_of
from tenants.api.fields import PlainNumber, StrictChoice, StrictDecimal, StrictInteger, StrictText, choices
from tenants.api.serializers import PageQuery, StrictSerializer
from tenants.api.views import ApiView
from tenants.credentials import apikeys
from tenants.models import ApiKey
from tenants.models.apikey import Scope
from tenants.problems import Denied, FieldError, Invalid, ProblemError

from ..models import Reservation, ReservationState
from ..reservations import ending, estimates, granting, reading
from ..reservations.granting import Granted, Wish

TAGS = ["Reservations"]
HOUR = 3_600
MOST_LABELS = 8
RESERVED_LABELS = frozenset({"model", "quantity", "corrects", "tenant", "device", "node"})
MOST_GPUS = 100_000
MOST_HOURS = Decimal(8_784)
MICROSECOND = Decimal("0.000001")


class LabelsField(serializers.DictField):
    """A flat object of at most eight short texts."""

    def to_internal_value(self, data: Any) -> dict[str, str]:
        found: dict[str, str] = super().to_internal_value(data)
        errors = {}
        for name, value in found.items():
            if not name.isascii() or not name.replace("_", "a").isalnum() or name != name.lower() or len(name) > 40:
                errors[name[:40]] = ["A label's name is lower-case letters, digits and _, at most 40 characters."]
            elif name[:1].isdigit() or name[:1] == "_" or name in RESERVED_LABELS:
                errors[name] = ["Choose another name: this one is taken, or does not begin with a letter."]
            elif not value.isprintable():
                errors[name] = ["Labels are printable."]
        if errors:
            raise serializers.ValidationError(errors)
        if len(found) > MOST_LABELS:
            raise serializers.ValidationError(f"Send at most {MOST_LABELS} labels.")
        return found


class JobSerializer(StrictSerializer):
    """The GPUs of a job."""

    gpus = StrictInteger(min_value=1, max_value=MOST_GPUS)
    gpu_model = serializers.RegexField(
        r"\A[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,38}[A-Za-z0-9])?\Z",
        trim_whitespace=False,
        help_text="As prices name it, such as H100.",
    )
    fraction = StrictDecimal(
        max_digits=5,
        decimal_places=4,
        min_value=Decimal("0.0001"),
        max_value=Decimal(1),
        default=Decimal(1),
        help_text="The part of each GPU: a MIG instance, a time slice.",
    )
    expected_hours = StrictDecimal(
        max_digits=10,
        decimal_places=6,
        min_value=MICROSECOND,
        max_value=MOST_HOURS,
        help_text="Wall-clock hours that the GPUs will be held.",
    )
    labels = LabelsField(
        child=StrictText(max_length=MAX_DIMENSION_TEXT),
        required=False,
        default=dict,
        help_text="Dimensions of the usage, such as project and user: lower-case names, at most 8.",
    )


class ReserveSerializer(JobSerializer):
    """What is asked for."""

    ttl_seconds = StrictInteger(
        min_value=30,
        max_value=86_400,
        required=False,
        help_text="Without a heartbeat for so long it lapses and is settled at the last one.",
    )


class ExtendSerializer(StrictSerializer):
    """How long it is expected to take in all."""

    expected_hours = StrictDecimal(max_digits=10, decimal_places=6, min_value=MICROSECOND, max_value=MOST_HOURS)


class SettleSerializer(StrictSerializer):
    """How long the GPUs were really held."""

    seconds = StrictDecimal(
        max_digits=14,
        decimal_places=6,
        min_value=Decimal(0),
        required=False,
        help_text="Since the reservation was made; left out: until now. Never less than heartbeats have confirmed.",
    )


class ReservationQuery(PageQuery):
    """Which reservations."""

    state = StrictChoice(choices=choices(ReservationState.values), required=False)


class EstimateSerializer(serializers.Serializer[Any]):
    """What it would add to the month's bill, before tax."""

    gpu_hours = PlainNumber(help_text="GPUs × fraction × hours.")
    amount = serializers.CharField(help_text="Rounded as a line of the bill.")
    amount_exact = serializers.CharField(help_text="To the millionth.")
    currency = serializers.CharField()
    per_gpu_hour = serializers.CharField(help_text="The average price of these hours.")
    price_version = serializers.CharField(help_text="The version of the price book that is in force.")
    month_so_far = PlainNumber(help_text="GPU hours used this month: where on a ladder of prices the job begins.")


class LeftSerializer(serializers.Serializer[Any]):
    """What is left besides this reservation; null is unlimited."""

    gpu_hours = PlainNumber(allow_null=True)
    gpus = PlainNumber(allow_null=True)
    over_quota = serializers.BooleanField(help_text="A soft quota let it through: the overage is recorded.")


class ReservationSerializer(serializers.Serializer[Any]):
    """A reservation as it is now."""

    id = serializers.UUIDField()
    state = serializers.ChoiceField(choices=choices(ReservationState.values))
    gpus = serializers.IntegerField()
    gpu_model = serializers.CharField()
    fraction = PlainNumber()
    expected_hours = PlainNumber()
    labels = serializers.DictField(child=serializers.CharField())  # type: ignore[assignment]
    started_at = serializers.DateTimeField()
    expected_end = serializers.DateTimeField()
    heartbeat_at = serializers.DateTimeField()
    heartbeat_every = serializers.IntegerField(help_text="Seconds: a third of the time after which it lapses.")
    lapses_at = serializers.DateTimeField(allow_null=True, help_text="null when it has ended.")
    ended_at = serializers.DateTimeField(allow_null=True)
    seconds = PlainNumber(help_text="Held so far, or in all.")
    gpu_hours = PlainNumber(help_text="Held so far, or in all: GPUs × fraction × hours.")
    cost = serializers.CharField(help_text="Of that, at the price of the estimate; the bill is rated from the ledger.")
    estimate = serializers.CharField(help_text="Of all that was reserved.")
    currency = serializers.CharField()
    price_version = serializers.CharField()
    overrun = serializers.BooleanField(help_text="Runs longer than expected: extend it, so that others see it.")


class GrantedSerializer(ReservationSerializer):
    """A new or extended reservation."""

    asked = EstimateSerializer()
    left = LeftSerializer()


_JOB = {"gpus": 2, "gpu_model": "H100", "expected_hours": "12", "labels": {"project": "mammography", "user": "alice"}}
_ROW = {
    "id": "8e0f4c1a-5b1e-4d57-9c36-0a4a5f3c2f10", "state": "held", "gpus": 2, "gpu_model": "H100", "fraction": 1, "expected_hours": 12,
    "labels": _JOB["labels"], "started_at": "2026-07-15T12:00:00Z", "expected_end": "2026-07-16T00:00:00Z",
    "heartbeat_at": "2026-07-15T12:00:00Z", "heartbeat_every": 300, "lapses_at": "2026-07-15T12:15:00Z", "ended_at": None, "seconds": 0,
    "gpu_hours": 0, "cost": "0.00", "estimate": "60.00", "currency": "USD", "price_version": "default v1", "overrun": False,
}  # fmt: skip
_ESTIMATE = {
    "gpu_hours": 24, "amount": "60.00", "amount_exact": "60", "currency": "USD", "per_gpu_hour": "2.5", "price_version": "default v1",
    "month_so_far": 31.5,
}  # fmt: skip
_GRANTED = {**_ROW, "asked": _ESTIMATE, "left": {"gpu_hours": 44.5, "gpus": 62, "over_quota": False}}
_SETTLED = {
    **_ROW, "state": "settled", "lapses_at": None, "ended_at": "2026-07-15T21:30:00Z", "seconds": 34200, "gpu_hours": 19, "cost": "47.50",
}  # fmt: skip
_REFUSALS = ["reservation_cap_exceeded", "reservations_blocked", "quota_exceeded", "budget_exhausted", "conflict"]


class _OfTheKey(ApiView):
    """What belongs to the tenant of the calling key."""

    def find_tenant(self, **kwargs: Any) -> None:
        if self.caller.kind != "key":
            raise Denied("GPUs are reserved with an API key of the tenant whose job it is.")
        self.tenant = access.tenant_by_slug(self.caller.slug or "", only=self.caller.slug)
        if "id" in kwargs:
            self.public_id = _uuid(kwargs["id"])

    @property
    def now(self) -> datetime:
        return timezone.now()

    def job(self, serializer: type[JobSerializer]) -> Wish:
        values = self.body(serializer)
        seconds = values["expected_hours"] * HOUR
        if seconds < 1:
            raise Invalid(FieldError("/expected_hours", "min_value", "Reserve at least a second."))
        return Wish(
            gpus=values["gpus"],
            gpu_model=values["gpu_model"],
            fraction=values["fraction"],
            seconds=int(-(-seconds // 1)),
            labels=self._with_user(values["labels"]),
            ttl_seconds=values.get("ttl_seconds"),
        )

    def _with_user(self, labels: dict[str, str]) -> dict[str, str]:
        """A member's own key says whose job it is."""
        key = (
            ApiKey.objects.select_related("membership__user")
            .filter(tenant=self.tenant, key_id=self.caller.key_id, membership__isnull=False)
            .first()
        )
        return (
            labels if key is None or key.membership is None else {"user": key.membership.user.get_username()} | labels
        )

    def granted(self, granted: Granted, status: int) -> Response:
        body = reading.described(granted.reservation, self.now) | {
            "asked": _estimated(granted.estimate),
            "left": {
                "gpu_hours": granted.gpu_hours_left,
                "gpus": granted.gpus_left,
                "over_quota": granted.over_quota,
            },
        }
        response = Response(GrantedSerializer(body).data, status=status)
        if status == 201:
            response["Location"] = f"/api/v1/reservations/{granted.reservation.public_id}"
        return response

    def shown(self, row: Reservation) -> Response:
        return Response(ReservationSerializer(reading.described(row, self.now)).data)

    def used(self) -> None:
        assert self.tenant is not None  # noqa: S101  (find_tenant)
        apikeys.mark_used([(self.tenant.pk, self.caller.key_id)], self.now)


class EstimatesView(_OfTheKey):
    """What a job would cost."""

    needs = {"POST": Scope.RESERVE}
    remembers = False  # nothing is changed

    @operation(
        "estimates_make", "Price a job before it starts", request=JobSerializer, answer=EstimateSerializer, tags=TAGS, idempotent=False,
        problems=["insufficient_scope", "permission_denied", "conflict"], of_tenant=False,
        examples=[example("Two GPUs", _JOB, request=True), example("Priced", _ESTIMATE)],
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """The price in force now, from where the month stands on its ladder. Nothing is held. 400 `unknown_model` names the known
        models: none is priced by a guess."""
        assert self.tenant is not None  # noqa: S101
        wish = self.job(JobSerializer)
        found = granting.priced(self.tenant, wish, self.now)
        return Response(EstimateSerializer(_estimated(found)).data)


class ReservationsView(_OfTheKey):
    """The tenant's reservations."""

    needs = {"GET": Scope.RESERVE, "POST": Scope.RESERVE}
    queries = {"GET": ReservationQuery}

    @operation(
        "reservations_list", "List reservations", query=ReservationQuery, answer=page_of(ReservationSerializer), tags=TAGS, of_tenant=False,
        problems=["insufficient_scope", "permission_denied"],
        examples=[example("One", {"count": 1, "next": None, "previous": None, "results": [_ROW]})],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """All of them, newest first; `?state=held` those that hold GPUs now."""
        rows = Reservation.objects.filter(tenant=self.tenant)
        if "state" in self.params:
            rows = rows.filter(state=self.params["state"])
        return self.page(rows, _Row)

    @operation(
        "reservations_make", "Reserve GPUs", request=ReserveSerializer, answer=GrantedSerializer, status=201, tags=TAGS, of_tenant=False,
        problems=[*_REFUSALS, "insufficient_scope", "permission_denied"],
        examples=[example("Two GPUs", _JOB, request=True), example("Granted", _GRANTED, status=201)],
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Checks the month's GPU hours, budgets that act, and the caps of the tenant in one step with what is used and reserved; nobody can
        slip in between. Send a heartbeat at least every `heartbeat_every` seconds, and settle when the job ends.

        429 `quota_exceeded` says `quota`, `used`, `reserved`, `asked`, `left`, `resets_at` and where to ask for more; 429
        `reservation_cap_exceeded` which cap; 402 `budget_exhausted` which budget.
        """
        assert self.tenant is not None  # noqa: S101
        self.used()
        wish = self.job(ReserveSerializer)
        made = granting.reserve(self.tenant, wish, id=self._id(request), actor=self.caller.actor, now=self.now)
        return self.granted(made, 201)

    def _id(self, request: Request) -> UUID:
        """With an Idempotency-Key the same try gets the same id: should its first answer get lost on the way, nothing is held twice."""
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return uuid4()
        id = uuid5(NAMESPACE_URL, f"{self.caller.id}/{key}")
        return uuid4() if Reservation.objects.filter(tenant=self.tenant, public_id=id).exists() else id


class ReservationView(_OfTheKey):
    """One reservation."""

    needs = {"GET": Scope.RESERVE, "DELETE": Scope.RESERVE}

    @operation(
        "reservations_retrieve", "Read a reservation", answer=ReservationSerializer, tags=TAGS, examples=[example("Held", _ROW)]
    )  # fmt: skip
    def get(self, request: Request, id: str) -> Response:
        """As it is now."""
        row = Reservation.objects.filter(tenant=self.tenant, public_id=self.public_id).first()
        if row is None:
            raise ProblemError("not_found")
        return self.shown(row)

    @operation(
        "reservations_delete", "Cancel a reservation", answer=ReservationSerializer, tags=TAGS, writes=True, problems=["conflict"],
        examples=[example("Cancelled", {**_ROW, "state": "cancelled", "lapses_at": None, "ended_at": _ROW["started_at"]})],
    )  # fmt: skip
    def delete(self, request: Request, id: str) -> Response:
        """As `POST …/cancel`."""
        assert self.tenant is not None  # noqa: S101
        return self.shown(ending.cancel(self.tenant, self.public_id, actor=self.caller.actor, now=self.now))


class HeartbeatView(_OfTheKey):
    """The job is alive."""

    needs = {"POST": Scope.RESERVE}
    remembers = False  # the next one says the same

    @operation(
        "reservations_heartbeat", "Send a heartbeat", answer=ReservationSerializer, tags=TAGS, writes=True, idempotent=False,
        problems=["conflict"], examples=[example("Alive", _ROW)],
    )  # fmt: skip
    def post(self, request: Request, id: str) -> Response:
        """Confirms that the GPUs are held, and puts off the lapse. Costs no quota. 409 when the reservation has ended: `state` says how."""
        assert self.tenant is not None  # noqa: S101
        return self.shown(ending.heartbeat(self.tenant, self.public_id, self.now))


class ExtendView(_OfTheKey):
    """The job takes longer."""

    needs = {"POST": Scope.RESERVE}

    @operation(
        "reservations_extend", "Extend a reservation", request=ExtendSerializer, answer=GrantedSerializer, tags=TAGS, problems=_REFUSALS,
        examples=[example("To 20 hours", {"expected_hours": "20"}, request=True), example("Extended", _GRANTED)],
    )  # fmt: skip
    def post(self, request: Request, id: str) -> Response:
        """`expected_hours` in all, instead of what was expected. Checked as a new reservation is; sent again it changes nothing."""
        assert self.tenant is not None  # noqa: S101
        seconds = int(-(-self.body(ExtendSerializer)["expected_hours"] * HOUR // 1))
        made = granting.extend(self.tenant, self.public_id, seconds, actor=self.caller.actor, now=self.now)
        return self.granted(made, 200)


class SettleView(_OfTheKey):
    """The job has ended."""

    needs = {"POST": Scope.RESERVE}

    @operation(
        "reservations_settle", "Settle a reservation", request=SettleSerializer, answer=ReservationSerializer, tags=TAGS,
        problems=["conflict"], examples=[example("After 9.5 hours", {"seconds": "34200"}, request=True), example("Settled", _SETTLED)],
    )  # fmt: skip
    def post(self, request: Request, id: str) -> Response:
        """Books what was really held, to the second and in the hours in which it was held. Never less than heartbeats (or a collector that saw
        the job) have confirmed, never more than the time since the start. Sent again, it answers what was settled.
        """
        assert self.tenant is not None  # noqa: S101
        said = self.body(SettleSerializer).get("seconds")
        seconds = None if said is None else float(said)
        return self.shown(ending.settle(self.tenant, self.public_id, seconds, actor=self.caller.actor, now=self.now))


class CancelView(_OfTheKey):
    """The job is given up."""

    needs = {"POST": Scope.RESERVE}

    @operation(
        "reservations_cancel", "Cancel a reservation", answer=ReservationSerializer, tags=TAGS, writes=True, problems=["conflict"],
        examples=[example("Cancelled", {**_ROW, "state": "cancelled", "lapses_at": None, "ended_at": _ROW["started_at"]})],
    )  # fmt: skip
    def post(self, request: Request, id: str) -> Response:
        """Gives the GPUs back. Only what was confirmed as held is billed: nothing before a first heartbeat. Sent again it changes nothing."""
        assert self.tenant is not None  # noqa: S101
        return self.shown(ending.cancel(self.tenant, self.public_id, actor=self.caller.actor, now=self.now))


class _Row(ReservationSerializer):
    """A row of the list."""

    def to_representation(self, instance: Any) -> Any:
        return super().to_representation(reading.described(instance, timezone.now()))


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ProblemError("not_found") from None


def _estimated(found: estimates.Estimate) -> dict[str, Any]:
    return {
        "gpu_hours": found.gpu_hours,
        "amount": found.amount.decimal_string(),
        "amount_exact": format(found.exact.normalize(), "f"),
        "currency": found.amount.currency,
        "per_gpu_hour": format(found.per_gpu_hour.normalize(), "f"),
        "price_version": found.price_version,
        "month_so_far": found.month_so_far,
    }
