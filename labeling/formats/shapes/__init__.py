"""Shapes: which fields a row has, and the record that they make. One file per kind of record."""

from .base import Gathering, Row, Shape, name_beside
from .choose import SHAPES, choose_shape, known_fields, matching_kinds

__all__ = [
    "SHAPES",
    "Gathering",
    "Row",
    "Shape",
    "choose_shape",
    "known_fields",
    "matching_kinds",
    "name_beside",
]
