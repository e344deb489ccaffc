"""The panel in a real Chromium, served by the real app over fakes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.panel_fakes import FakePanelLabelStudio, FakeWorker, make_panel_services


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder: it needs a browser, as the end-to-end tests do."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)


class _Quiet(WSGIRequestHandler):
    def log(self, *args: object) -> None:
        """Keep the report of a failed test readable."""


@contextmanager
def serve(services) -> Iterator[str]:
    """Serve the app on a free port of this machine and give its address."""
    app = services.app(lambda: None)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


@pytest.fixture
def label_studio():
    return FakePanelLabelStudio()


@pytest.fixture
def services(tmp_path, label_studio):
    return make_panel_services(tmp_path, label_studio)


@pytest.fixture
def worker(services, label_studio):
    with FakeWorker(services, label_studio) as worker:
        yield worker


@pytest.fixture
def address(services):
    with serve(services) as address:
        yield address


@pytest.fixture
def open_page(browser):
    """Open pages that fail the test on an error of a script or a refused resource."""
    contexts = []

    def open_page(url: str, **options):
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on(
            "console",
            lambda message: (
                page.errors.append(message.text)
                if message.type == "error" and "Failed to load resource" not in message.text
                else None
            ),
        )
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        for page in context.pages:
            assert page.errors == []
        context.close()


@pytest.fixture
def panel(open_page, address):
    page = open_page(f"{address}/panel")
    page.wait_for_selector(".tile[aria-selected=true]")
    return page
