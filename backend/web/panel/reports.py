"""Routes of evaluation reports and of the learning curve."""

from __future__ import annotations

from functools import partial

from flask import Response

from backend.errors import NotFoundError, VersionError
from backend.service.backend import Backend
from backend.service.panel.panel import Panel
from backend.service.ports import Json
from backend.service.projects.projects import parse_project_key, project_id
from backend.service.versions.catalog import VersionCatalog
from backend.service.versions.learning_curve import project_curve
from backend.service.versions.report import VersionReport, version_before, version_report
from backend.web.panel import queries, report_schemas
from backend.web.panel.report_page import report_page
from backend.web.routing import NAMES_PROJECT, Routes


def reports_routes(backend: Backend, panel: Panel) -> Routes:
    """Return the routes of a version's report, as JSON and as one HTML file, and of the learning curve."""
    routes = Routes("panel_reports", __name__, tag="versions", template_folder="templates")
    catalog = VersionCatalog(backend.projects, backend.models)

    def canonical(key: str) -> str:
        return backend.projects.canonical(parse_project_key(key))

    def report_of(key: str, version: str) -> VersionReport:
        try:
            card = catalog.card(key, version)
        except VersionError as exc:
            raise NotFoundError(str(exc)) from exc
        return version_report(card, version_before(card, catalog.list(key)))

    @routes.get(
        "/api/projects/<key>/versions/<version>/report",
        answer=report_schemas.VersionReport,
        refuses=(*NAMES_PROJECT, NotFoundError),
    )
    def show_report(key: str, version: str) -> Json:
        """Report how good a version is on the images that its training held back, and what changed."""
        return report_of(canonical(key), version).as_json()

    @routes.get(
        "/api/projects/<key>/versions/<version>/report.html",
        content_type="text/html",
        refuses=(*NAMES_PROJECT, NotFoundError),
    )
    def show_report_page(key: str, version: str, query: queries.ReportQuery) -> Response:
        """Report the same as one HTML file to send around, with the worst images drawn."""
        key = canonical(key)
        page = report_page(
            report_of(key, version), partial(panel.images.for_report, key), title=f"project {project_id(key)}"
        )
        if query.download:
            page.headers["Content-Disposition"] = f'attachment; filename="report-{version}.html"'
        return page

    @routes.get(
        "/api/projects/<key>/learning-curve", answer=report_schemas.LearningCurve, refuses=NAMES_PROJECT
    )
    def show_learning_curve(key: str) -> Json:
        """Show what versions measured by how many images they learned from, and what more would bring."""
        trained = backend.models.store.list(canonical(key))
        return project_curve([version.card for version in trained]).as_json()

    return routes
