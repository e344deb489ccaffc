import base64
import gzip
import socket
import time

import pytest

from backend.errors import FetchError, ImageDecodeError, ImageNotFound, ImageTooLarge
from backend.service.ports import ImageAccess
from tests.http_server import Answer
from tests.infra.image_fetching import PNG, fetcher

OPEN = ImageAccess()


class TestCredentials:
    def test_our_token_goes_to_no_other_host(self, images, web, other_web):
        other_web.routes["/a.png"] = Answer(PNG)
        images.load_rgb(f"{other_web.url}/a.png", ImageAccess(hostname=web.url, token="secret"))
        assert "Authorization" not in other_web.seen[0].headers

    def test_not_even_to_another_port_after_a_redirect(self, images, web, other_web):
        web.routes["/data/upload/1/a.png"] = Answer(
            status=302, headers={"Location": f"{other_web.url}/a.png"}
        )
        other_web.routes["/a.png"] = Answer(PNG)
        images.load_rgb("/data/upload/1/a.png", ImageAccess(hostname=web.url, token="secret"))
        assert "Authorization" not in other_web.seen[0].headers

    def test_the_projects_login_goes_to_the_tasks_host_only(self, images, web, other_web):
        web.routes["/a.png"] = Answer(status=302, headers={"Location": f"{other_web.url}/b.png"})
        other_web.routes["/b.png"] = Answer(PNG)
        images.load_rgb(f"{web.url}/a.png", ImageAccess(login="me", password="pass ż"))
        assert base64.b64decode(web.seen[0].headers["Authorization"].split()[1]).decode() == "me:pass ż"
        assert "Authorization" not in other_web.seen[0].headers

    def test_the_projects_login_never_goes_to_label_studio_instead_of_the_token(self, images, web):
        web.routes["/data/upload/1/a.png"] = Answer(PNG)
        access = ImageAccess(hostname=web.url, login="me", password="x")
        images.load_rgb("/data/upload/1/a.png", access)
        assert "Authorization" not in web.seen[0].headers

    def test_a_personal_token_is_exchanged_and_renewed_once(self, images, web):
        web.routes["/api/token/refresh/"] = Answer(b'{"access": "short-lived"}')
        web.routes["/data/upload/1/a.png"] = [Answer(status=401), Answer(PNG), Answer(status=401)]
        access = ImageAccess(hostname=web.url, token="e30.e30.sig")
        images.load_rgb("/data/upload/1/a.png", access)
        assert web.seen[-1].headers["Authorization"] == "Bearer short-lived"
        with pytest.raises(FetchError, match="401"):
            images.load_rgb("/data/upload/1/a.png", access)
        assert len(web.asked("/data/upload/1/a.png")) == 4

    def test_cookies_are_not_kept(self, images, web):
        web.routes["/a.png"] = Answer(PNG, headers={"Set-Cookie": "sessionid=1; Path=/"})
        for _ in range(2):
            images.load_rgb(f"{web.url}/a.png", OPEN)
        assert "Cookie" not in web.seen[1].headers

    def test_a_netrc_file_adds_nothing(self, images, web, tmp_path, monkeypatch):
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        web.routes["/a.png"] = Answer(PNG)
        images.load_rgb(f"{web.url}/a.png", OPEN)
        assert "Authorization" not in web.seen[0].headers

    def test_messages_hold_no_secrets(self, images, web):
        with pytest.raises(ImageNotFound) as caught:
            images.load_rgb(f"{web.url.replace('//', '//user:hush@')}/a.png?X-Amz-Signature=hush", OPEN)
        assert "hush" not in str(caught.value) and "/a.png" in str(caught.value)

    def test_no_access_says_what_to_check(self, images, web):
        web.routes["/a.png"] = Answer(status=401)
        with pytest.raises(FetchError, match="LABEL_STUDIO_API_KEY"):
            images.load_rgb(f"{web.url}/a.png", OPEN)
        web.routes["/data/upload/1/a.png"] = Answer(status=302, headers={"Location": "/user/login/?next=x"})
        with pytest.raises(FetchError, match="log in"):
            images.load_rgb("/data/upload/1/a.png", ImageAccess(hostname=web.url))


class TestTrouble:
    @pytest.mark.parametrize("status", [404, 410])
    def test_not_there(self, images, web, status):
        web.routes["/a.png"] = Answer(status=status)
        with pytest.raises(ImageNotFound, match=str(status)):
            images.load_rgb(f"{web.url}/a.png", OPEN)
        assert len(web.seen) == 1, "asking again would not help"

    @pytest.mark.parametrize("status", [400, 403, 418, 204, 206])
    def test_other_answers(self, images, web, status):
        web.routes["/a.png"] = Answer(status=status)
        with pytest.raises(FetchError, match=str(status)):
            images.load_rgb(f"{web.url}/a.png", OPEN)
        assert len(web.seen) == 1

    def test_a_passing_error_is_tried_again(self, images, web):
        web.routes["/a.png"] = [Answer(status=503), Answer(status=500), Answer(PNG)]
        assert images.load_rgb(f"{web.url}/a.png", OPEN).shape == (3, 4, 3)

    def test_a_lasting_error_is_given_up_in_time(self, web):
        web.routes["/a.png"] = Answer(status=500)
        started = time.monotonic()
        with pytest.raises(FetchError, match="500"):
            fetcher(timeout_s=1.0).load_rgb(f"{web.url}/a.png", OPEN)
        assert len(web.seen) >= 2 and time.monotonic() - started < 1.5

    def test_a_cut_off_answer_is_tried_again(self, images, web):
        web.routes["/a.png"] = [Answer(PNG[:40], cut=20), Answer(PNG)]
        assert images.load_rgb(f"{web.url}/a.png", OPEN).shape == (3, 4, 3)
        web.routes["/a.png"] = Answer(PNG[:40], cut=20)
        with pytest.raises(ImageDecodeError, match="broke off after 40 bytes"):
            fetcher(timeout_s=0.5).load_rgb(f"{web.url}/a.png", OPEN)

    def test_nobody_there(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}/a.png"
        with pytest.raises(FetchError, match="cannot be reached"):
            fetcher(timeout_s=0.5).load_rgb(url, OPEN)
        with pytest.raises(FetchError, match="cannot be reached"):
            fetcher(timeout_s=0.5).load_rgb("http://no-such-host.invalid/a.png", OPEN)

    @pytest.mark.parametrize(("body", "match"), [(b"", "0 bytes"), (b"<html>log in</html>", "web page")])
    def test_no_image(self, images, web, body, match):
        web.routes["/a.png"] = Answer(body)
        with pytest.raises(ImageDecodeError, match=match):
            images.load_rgb(f"{web.url}/a.png", OPEN)

    def test_too_many_bytes_announced(self, web):
        web.routes["/a.png"] = Answer(b"x" * 2000)
        with pytest.raises(ImageTooLarge, match="2000 bytes"):
            fetcher(max_bytes=1000).load_rgb(f"{web.url}/a.png", OPEN)

    def test_too_many_bytes_without_a_word(self, web):
        sent = []

        def endless():
            for _ in range(10_000):
                sent.append(1)
                yield b"x" * 1000

        web.routes["/a.png"] = Answer(chunks=endless())
        with pytest.raises(ImageTooLarge):
            fetcher(max_bytes=5000).load_rgb(f"{web.url}/a.png", OPEN)
        assert len(sent) < 10_000

    def test_a_compressed_bomb(self, web):
        bomb = gzip.compress(b"\0" * 10_000_000)
        web.routes["/a.png"] = Answer(bomb, headers={"Content-Encoding": "gzip"})
        with pytest.raises(ImageTooLarge):
            fetcher(max_bytes=100_000).load_rgb(f"{web.url}/a.png", OPEN)

    def test_compressed_but_honest(self, images, web):
        web.routes["/a.png"] = Answer(gzip.compress(PNG), headers={"Content-Encoding": "gzip"})
        assert images.load_rgb(f"{web.url}/a.png", OPEN).shape == (3, 4, 3)

    def test_a_server_that_drips(self, web):
        def drops():
            for byte in PNG:
                time.sleep(0.05)
                yield bytes([byte])

        web.routes["/a.png"] = Answer(chunks=drops())
        started = time.monotonic()
        with pytest.raises(FetchError, match="IMAGE_TIMEOUT_S"):
            fetcher(timeout_s=0.6).load_rgb(f"{web.url}/a.png", OPEN)
        assert time.monotonic() - started < 1.2

    def test_a_server_that_says_nothing(self, web):
        web.routes["/a.png"] = lambda seen: time.sleep(1.5) or Answer(PNG)
        started = time.monotonic()
        with pytest.raises(FetchError):
            fetcher(timeout_s=0.5).load_rgb(f"{web.url}/a.png", OPEN)
        assert time.monotonic() - started < 1.2

    @pytest.mark.parametrize(
        ("location", "path"),
        [
            pytest.param("/猫 1.png".encode(), "/%E7%8C%AB%201.png", id="UTF-8"),
            pytest.param("/é.png".encode("latin-1"), "/%E9.png", id="Latin-1"),
            pytest.param(b"/%E7%8C%AB%201.png", "/%E7%8C%AB%201.png", id="encoded already"),
        ],
    )
    def test_a_redirect_to_a_name_of_any_letters(self, images, web, location, path):
        web.routes["/a.png"] = Answer(status=302, headers={"Location": location.decode("latin-1")})
        web.routes[path] = Answer(PNG)
        assert images.load_rgb(f"{web.url}/a.png", OPEN).shape == (3, 4, 3)

    @pytest.mark.parametrize(
        "resolver", ["/tasks/3/presign/", "/ls/tasks/3/resolve/", "/projects/7/resolve/"]
    )
    def test_label_studio_resolves_for_us_what_it_wrote_for_browsers(self, images, web, resolver):
        web.routes[resolver.removeprefix("/ls")] = Answer(PNG)
        access = ImageAccess(hostname=web.url, token="secret")
        images.load_rgb(f"http://label-studio.invalid{resolver}?fileuri=czM6Ly9iL2s=", access)
        (asked,) = web.seen
        assert asked.query == "fileuri=czM6Ly9iL2s=" and "secret" in asked.headers["Authorization"]

    @pytest.mark.parametrize("query", ["X-Amz-Signature=ab", "Expires=1&Signature=ab", "se=1&sig=ab"])
    @pytest.mark.parametrize("status", [400, 403])
    def test_a_signed_address_that_is_refused_is_to_be_signed_anew(self, images, web, query, status):
        web.routes["/a.png"] = Answer(b"<Error/>", status=status)
        with pytest.raises(FetchError, match=rf"\({status}\).*signature has ended.*anew") as caught:
            images.load_rgb(f"{web.url}/a.png?{query}", OPEN)
        assert "=ab" not in str(caught.value)

    def test_redirects_are_counted(self, images, web):
        web.routes["/a.png"] = Answer(status=302, headers={"Location": "/a.png"})
        with pytest.raises(FetchError, match="more than 5 times"):
            images.load_rgb(f"{web.url}/a.png", OPEN)
