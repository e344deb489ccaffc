"""What calls of the panel's API may be refused for, by what they do."""

from __future__ import annotations

from backend.errors import (
    AddressRefused,
    ConflictError,
    ImageDecodeError,
    ImageTooLarge,
    LabelStudioError,
    NotFoundError,
)
from backend.web.routing import NAMES_PROJECT

READS = (*NAMES_PROJECT, NotFoundError, LabelStudioError)
SHOWS_IMAGE = (*READS, AddressRefused, ImageTooLarge, ImageDecodeError)
CHANGES = (*READS, ConflictError)
