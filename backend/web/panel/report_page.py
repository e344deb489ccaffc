"""A report as one HTML file that needs nothing else: pictures, charts and styles stand in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from pathlib import Path

from flask import Response, render_template

from backend.core.evaluation.evaluation import WorstImage
from backend.errors import BackendError
from backend.service.panel.page_images import JpegImage
from backend.service.versions.metric_names import metric_title
from backend.service.versions.report import VersionReport

_STYLES = Path(__file__).parent / "templates" / "report.css"
_COLUMNS_MOST = 24
"""A table of more labels than this is a list of what is mistaken most."""
_MISTAKES_SHOWN = 40


@dataclass(frozen=True)
class DrawnImage:
    """A worst image to draw; picture: as a data address, None where it cannot be read, with the reason."""

    image: WorstImage
    picture: str | None
    problem: str | None


def report_page(report: VersionReport, read: Callable[[int, int], JpegImage], *, title: str) -> Response:
    """Return the file.

    read: gives an image by task id and page, or raises BackendError. title: of the project.
    """
    images = [_drawn(image, read) for image in report.worst]
    labels = sorted({name for one in report.confusion for name in (one.drawn, one.found) if name})
    made = report.card.created_at
    text = render_template(
        "report.html",
        report=report,
        title=title,
        images=images,
        styles=_styles(),
        policy=_policy(),
        made_at=None if made is None else datetime.fromtimestamp(made, timezone.utc),
        metric_title=metric_title,
        confused=labels if len(labels) <= _COLUMNS_MOST else None,
        counts={(one.drawn, one.found): one.count for one in report.confusion},
        mistakes=sorted(
            (one for one in report.confusion if one.drawn != one.found), key=lambda one: -one.count
        )[:_MISTAKES_SHOWN],
    )
    response = Response(text, mimetype="text/html")
    response.headers["Content-Security-Policy"] = f"{_policy()}; frame-ancestors 'none'"
    return response


def _drawn(image: WorstImage, read: Callable[[int, int], JpegImage]) -> DrawnImage:
    try:
        jpeg = read(image.task_id, image.page)
    except BackendError as exc:
        return DrawnImage(image, None, str(exc))
    return DrawnImage(image, "data:image/jpeg;base64," + base64.b64encode(jpeg.data).decode(), None)


@cache
def _styles() -> str:
    return _STYLES.read_text(encoding="utf-8")


def _policy() -> str:
    """Return a content policy that lets the page load nothing, run nothing, and have this one style."""
    digest = base64.b64encode(hashlib.sha256(_styles().encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
