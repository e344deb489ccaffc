"""A small HTTP server on the loopback for tests: answers by path, and keeps what it was asked."""

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Seen:
    """One request as it came."""

    method: str
    path: str
    query: str
    headers: dict
    body: bytes


@dataclass
class Answer:
    """What to send back; `cut` announces that many bytes more than are sent."""

    body: bytes = b""
    status: int = 200
    headers: dict = field(default_factory=dict)
    cut: int = 0
    chunks: object = None


class WebServer:
    """`routes` maps a path to an Answer, a list of them (the last stays), or a function of the request."""

    def __init__(self, host="127.0.0.1"):
        self.routes, self.seen = {}, []
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                path, _, query = self.path.partition("?")
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                seen = Seen(self.command, path, query, dict(self.headers), body)
                web.seen.append(seen)
                route = web.routes.get(path, Answer(status=404))
                if isinstance(route, list):
                    route = route.pop(0) if len(route) > 1 else route[0]
                web.send(self, route(seen) if callable(route) else route)

            do_GET = do_POST = do_PATCH = do_DELETE = answer

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer((host, 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def asked(self, path):
        return [seen for seen in self.seen if seen.path == path]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @staticmethod
    def send(handler, answer):
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        if answer.chunks is None:
            handler.send_header("Content-Length", str(len(answer.body) + answer.cut))
        else:
            handler.close_connection = True
        handler.end_headers()
        try:
            handler.wfile.write(answer.body)
            for chunk in answer.chunks or ():
                handler.wfile.write(chunk)
                handler.wfile.flush()
        except OSError:
            pass  # the client has had enough
        if answer.cut:
            handler.close_connection = True
