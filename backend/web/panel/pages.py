"""The panel's page, its files, and the description of the API."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from flask import Blueprint, Response, jsonify, redirect, render_template
from werkzeug.wrappers import Response as AnyResponse

from backend.service.ports import Json

_PACKAGE = "labelstudio-learning-backend"
_STATIC = Path(__file__).parent / "static"
# Named in the page, so that the browser fetches them all at once and not one import after the other.
# Modules in a folder `workers` are not the page's.
_MODULES = sorted(
    path.relative_to(_STATIC).as_posix() for path in _STATIC.rglob("*.js") if path.parent.name != "workers"
)


def pages_blueprint(describe: Callable[[str], Json]) -> Blueprint:
    """Return the routes of the page; the page itself asks the API for everything it shows.

    describe: makes the OpenAPI document of a release; called when it is first asked for.
    """
    blueprint = Blueprint(
        "panel_pages",
        __name__,
        template_folder="templates",
        static_folder="static",
        static_url_path="/panel/static",
    )
    document = cache(lambda: describe(_version()))

    @blueprint.get("/panel")
    def page() -> str:
        return render_template("panel.html", modules=_MODULES)

    @blueprint.get("/panel/")
    def page_with_slash() -> AnyResponse:
        return redirect("/panel")

    @blueprint.get("/openapi.json")
    def openapi() -> Response:
        return jsonify(document())

    @blueprint.after_request
    def revalidate(response: Response) -> Response:
        # Files carry an ETag: the browser asks each time and mostly hears "not modified".
        if response.status_code in (200, 304):
            response.headers["Cache-Control"] = "no-cache"
        return response

    return blueprint


def _version() -> str:
    try:
        return version(_PACKAGE)
    except PackageNotFoundError:
        return "0"
