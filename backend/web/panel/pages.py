"""The panel's page, its files, and the description of the API."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from flask import Response, jsonify, redirect, render_template, send_from_directory
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from backend.service.ports import Json
from backend.web.routing import Routes

_PACKAGE = "labelstudio-learning-backend"
_STATIC = Path(__file__).parent / "static"
# Named in the page, so that the browser fetches them all at once and not one import after the other.
# Modules in a folder `workers` are not the page's.
_MODULES = sorted(
    path.relative_to(_STATIC).as_posix() for path in _STATIC.rglob("*.js") if path.parent.name != "workers"
)


def pages_routes(describe: Callable[[str], Json]) -> Routes:
    """Return the routes of the page; the page itself asks the API for everything it shows.

    describe: makes the OpenAPI document of a release; called when it is first asked for.
    """
    routes = Routes("panel_pages", __name__, tag="pages", template_folder="templates")
    document = cache(lambda: describe(_version()))

    @routes.get("/panel", content_type="text/html")
    def panel() -> Response:
        """Show ML Mode, the panel's page."""
        return Response(render_template("panel.html", modules=_MODULES), mimetype="text/html")

    @routes.get("/panel/", status=302, content_type=None)
    def panel_with_slash() -> AnyResponse:
        """Lead to the page."""
        return redirect("/panel")

    @routes.get(
        "/panel/static/<path:filename>", content_type="*/*", other_answers={304: None}, refuses=(NotFound,)
    )
    def panel_file(filename: str) -> AnyResponse:
        """Send a script or style of the page."""
        return send_from_directory(_STATIC, filename)

    @routes.get("/openapi.json")
    def openapi() -> Response:
        """Describe the service: this document."""
        return jsonify(document())

    @routes.blueprint.after_request
    def revalidate(response: Response) -> Response:
        # Files carry an ETag: the browser asks each time and mostly hears "not modified".
        if response.status_code in (200, 304):
            response.headers["Cache-Control"] = "no-cache"
        return response

    return routes


def _version() -> str:
    try:
        return version(_PACKAGE)
    except PackageNotFoundError:
        return "0"
