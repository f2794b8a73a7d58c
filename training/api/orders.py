"""What the routes share that start training: the key under which an order may be sent again."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework import status

from annotate.api.keys import HEADER, key_field, sent_key
from training.services.orders import Order

ORDER_KEY = OpenApiParameter(
    HEADER,
    str,
    OpenApiParameter.HEADER,
    description="New for each order. The same key and body again is answered with what was made (200); "
    "another body under it is refused (409).",
)


def order_key_field():
    return key_field("Sent again with it, the order is one. As a header: Idempotency-Key.")


def order_of(view, request, data: dict[str, Any]) -> Order:
    """Of what was sent, before names are looked up: the key is taken out of `data`. Raises Invalid for a key
    that is none."""
    key = sent_key(request, data)
    return Order.of(view.project, request.user, key, {"path": request.path, "body": data})


def code_of(is_new: bool) -> int:
    return status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
