"""A reverse proxy that puts a service below a path, as `location /ls/ { proxy_pass http://...; }` does."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

from harness.service_process import HOST, free_port

TIMEOUT_S = 150.0
# Of one connection only, or worked out anew for the body that is passed on.
_NOT_PASSED_ON = {"connection", "content-length", "transfer-encoding", "content-encoding", "keep-alive"}


class PathProxy:
    """Answers below `url`, which ends with the path, from `target`; everything else is not found."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}{path}"
        self.target = ""
        self.refused: list[str] = []
        session = requests.Session()
        session.trust_env = False
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if not self.path.startswith(f"{proxy.path}/"):
                    proxy.refused.append(self.path)
                    self.send_error(404)
                    return
                try:
                    answer = session.request(
                        self.command,
                        proxy.target + self.path.removeprefix(proxy.path),
                        data=body,
                        headers=dict(self.headers),  # with the Host that was asked for
                        timeout=TIMEOUT_S,
                        allow_redirects=False,
                    )
                except requests.RequestException:
                    self.send_error(502)
                    return
                self.send_response(answer.status_code)
                for name, value in answer.raw.headers.iteritems():  # `answer.headers` joins several cookies
                    if name.lower() not in _NOT_PASSED_ON:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.content)

            do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = pass_on

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer((HOST, self.port), Handler)
        self._server.daemon_threads = True

    def __enter__(self) -> PathProxy:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
