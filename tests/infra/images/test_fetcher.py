import base64
import contextlib
import io
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, unquote

import numpy as np
import pytest
from PIL import Image

from backend.errors import AddressRefused, FetchError, ImageDecodeError, ImageNotFound, ImageTooLarge
from backend.infra.images.download import Downloader
from backend.infra.images.fetcher import ASK_AGAIN_AFTER_S, FETCH_AGAIN_AFTER_S, ImageFetcher, cache_key
from backend.infra.machine.file_cache import FileCache
from backend.infra.network.addresses import AddressRules
from backend.service.ports import ImageAccess
from backend.settings import Settings
from tests.http_server import Answer
from tests.infra.image_fetching import PNG, fetcher, png

OPEN = ImageAccess()


@pytest.fixture
def cache(tmp_path):
    return FileCache(tmp_path / "cache", 1_000_000, slack=0.05)


class TestReferences:
    def test_http(self, images, web):
        web.routes["/a.png"] = Answer(PNG)
        assert images.load_rgb(f"{web.url}/a.png?x=1&y=%20", OPEN).shape == (3, 4, 3)
        assert web.seen[0].query == "x=1&y=%20"

    @pytest.mark.parametrize(
        ("name", "path"),
        [
            ("7/1a2b3c4d-zdjęcie_żółwia.png", "7/1a2b3c4d-zdj%C4%99cie_%C5%BC%C3%B3%C5%82wia.png"),
            ("7/1a2b3c4d-a#b.png", "7/1a2b3c4d-a%23b.png"),
            ("7/1a2b3c4d-50%.png", "7/1a2b3c4d-50%25.png"),
            ("7/1a2b3c4d-a%20b.png", "7/1a2b3c4d-a%20b.png"),
            ("7/1a2b3c4d-a b🐢.png", "7/1a2b3c4d-a%20b%F0%9F%90%A2.png"),
        ],
    )
    def test_uploads_come_from_label_studio_with_its_token(self, images, web, name, path):
        web.routes[f"/data/upload/{path}"] = Answer(PNG)
        images.load_rgb(f"/data/upload/{name}", ImageAccess(hostname=f"{web.url}/", token="secret"))
        assert web.seen[0].headers["Authorization"] == "Token secret"

    def test_local_files(self, images, web):
        web.routes["/data/local-files/"] = Answer(PNG)
        images.load_rgb("/data/local-files/?d=pics/a ż.png", ImageAccess(hostname=web.url, token="t"))
        assert unquote(web.seen[0].query) == "d=pics/a ż.png"

    @pytest.mark.parametrize("reference", ["s3://b/k ż.png", "gs://b/k.png", "azure-blob://c/k.png"])
    def test_cloud_storage_goes_through_label_studio(self, images, web, other_web, reference):
        other_web.routes["/signed"] = Answer(PNG)
        web.routes["/tasks/5/resolve/"] = Answer(
            status=303, headers={"Location": f"{other_web.url}/signed?sig=1"}
        )
        images.load_rgb(reference, ImageAccess(hostname=web.url, token="secret", task_id=5))
        (code,) = parse_qs(web.seen[0].query)["fileuri"]
        assert base64.urlsafe_b64decode(code).decode() == reference
        assert web.seen[0].headers["Authorization"] == "Token secret"
        assert "Authorization" not in other_web.seen[0].headers

    @pytest.mark.parametrize(
        "uri",
        [
            "data:image/png;base64," + base64.b64encode(PNG).decode(),
            "data:image/png;charset=x;base64," + base64.b64encode(PNG).decode().rstrip("="),
            "data:;base64,\n" + base64.encodebytes(PNG).decode(),
            "data:image/png," + "".join(f"%{byte:02x}" for byte in PNG),
        ],
    )
    def test_data_uris(self, images, uri):
        assert images.load_rgb(uri, OPEN).shape == (3, 4, 3)
        assert images.is_cached(uri, OPEN)

    @pytest.mark.parametrize("uri", ["data:image/png;base64,@@@", "data:image/png", "data:,", "data:xxx"])
    def test_broken_data_uris(self, images, uri):
        with pytest.raises(ImageDecodeError):
            images.load_rgb(uri, OPEN)

    def test_a_long_data_uri(self, images):
        for uri in ("data:;base64," + "A" * 20_000, "data:," + "A" * 50_000):
            with pytest.raises(ImageTooLarge, match="IMAGE_MAX_BYTES"):
                images.load_rgb(uri, OPEN)

    @pytest.mark.parametrize("reference", ["", "   ", None, 7, ["a"], {}])
    def test_no_reference(self, images, reference):
        with pytest.raises(ImageNotFound, match="names no image"):
            images.load_rgb(reference, OPEN)

    @pytest.mark.parametrize(
        "reference",
        ["file:///etc/passwd", "FILE:///etc/passwd", "ftp://x/y", "gopher://x", "C:\\a.png", "//host/a.png",
         "javascript:alert(1)", "unix:///run/x.sock"],
    )  # fmt: skip
    def test_addresses_never_read_from(self, images, reference):
        with pytest.raises((AddressRefused, FetchError)) as caught:
            images.load_rgb(reference, ImageAccess(hostname=None))
        assert (
            "never" in str(caught.value)
            or "http:" in str(caught.value)
            or "LABEL_STUDIO_URL" in str(caught.value)
        )

    @pytest.mark.parametrize("reference", ["http://", "http:///a.png", "http://[::1/a", "http://a:port/b"])
    def test_malformed_addresses(self, images, reference):
        with pytest.raises(FetchError):
            images.load_rgb(reference, OPEN)

    def test_what_lies_in_an_unknown_label_studio(self, images):
        for reference in ("/data/upload/1/a.png", "s3://b/k"):
            with pytest.raises(FetchError, match="address"):
                images.load_rgb(reference, OPEN)

    def test_an_absolute_address_that_only_browsers_reach(self, images, web):
        web.routes["/data/upload/7/a.png"] = Answer(PNG)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            dead = f"http://127.0.0.1:{free.getsockname()[1]}"
        access = ImageAccess(hostname=web.url, token="secret")
        assert images.load_rgb(f"{dead}/data/upload/7/a.png", access).shape == (3, 4, 3)


class TestBelowAPath:
    """A Label Studio at `https://host/ls`, and one that browsers see there."""

    @pytest.mark.parametrize(
        ("address", "reference", "path"),
        [
            ("/ls", "/ls/data/upload/7/a.png", "/ls/data/upload/7/a.png"),
            ("/ls", "/data/upload/7/a.png", "/ls/data/upload/7/a.png"),
            ("/ls/", "data/upload/7/a.png", "/ls/data/upload/7/a.png"),
            ("/ls", "/ls/data/upload/7/a%23b.png", "/ls/data/upload/7/a%23b.png"),
            ("/ls", "/ls/data/upload/7/a#b.png", "/ls/data/upload/7/a%23b.png"),
            ("/a/ls", "/a/ls/data/local-files/?d=x.png", "/a/ls/data/local-files/"),
            ("/a/ls", "/data/local-files/?d=x.png", "/a/ls/data/local-files/"),
            ("/ls", "/ls/tasks/7/resolve/?fileuri=x", "/ls/tasks/7/resolve/"),
            ("/ls", "s3://bucket/key.png", "/ls/tasks/7/resolve/"),
            ("", "/ls/data/upload/7/a.png", "/data/upload/7/a.png"),
            ("", "/ls/data/upload/7/a.png", "/ls/data/upload/7/a.png"),
            ("/ls", "/lsx/data/upload/7/a.png", "/ls/data/upload/7/a.png"),
        ],
    )
    def test_images_are_found_whichever_way_they_are_written(self, images, web, address, reference, path):
        web.routes[path] = Answer(PNG)
        access = ImageAccess(hostname=web.url + address, token="secret", task_id=7)
        assert images.load_rgb(reference, access).shape == (3, 4, 3)
        assert web.seen[-1].headers["Authorization"] == "Token secret"

    @pytest.mark.parametrize("written", ["/data/upload/7/a.png", "/ls/data/upload/7/a.png"])
    def test_whole_addresses_too(self, images, web, other_web, written):
        web.routes["/inside/data/upload/7/a.png"] = Answer(PNG)
        access = ImageAccess(hostname=f"{web.url}/inside", token="secret")
        assert images.load_rgb(other_web.url + written, access).shape == (3, 4, 3)
        assert "Authorization" not in other_web.seen[0].headers

    @pytest.mark.parametrize(
        "path", ["/other/a.png", "/lsx/a.png", "/ls/../other/a.png", "/ls/%2e%2E/other/a.png"]
    )
    def test_what_lies_beside_it_does_not_get_the_token(self, images, web, path):
        with contextlib.suppress(ImageNotFound):
            images.load_rgb(web.url + path, ImageAccess(hostname=f"{web.url}/ls", token="secret"))
        assert "Authorization" not in web.seen[0].headers


class TestAddresses:
    @pytest.mark.parametrize(
        "host",
        ["169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "100.100.100.200", "0.0.0.0", "[::]", "224.0.0.1",
         "[::ffff:169.254.169.254]", "[2002:a9fe:a9fe::]", "[64:ff9b::a9fe:a9fe]", "2852039166",
         "0xA9FEA9FE"],
    )  # fmt: skip
    def test_metadata_and_the_like_never(self, images, host):
        with pytest.raises(AddressRefused, match="never"):
            images.load_rgb(f"http://{host}/latest/meta-data/", OPEN)

    def test_not_by_redirect_either(self, images, web):
        for target in ("http://169.254.169.254/x", "file:///etc/passwd"):
            web.routes["/a.png"] = Answer(status=302, headers={"Location": target})
            with pytest.raises(AddressRefused):
                images.load_rgb(f"{web.url}/a.png", OPEN)

    def test_not_by_name_either(self, images, monkeypatch):
        def lies(host, port, *args, **kwargs):
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", port))]

        monkeypatch.setattr(socket, "getaddrinfo", lies)
        with pytest.raises(AddressRefused, match=r"innocent\.example"):
            images.load_rgb("http://innocent.example/a.png", OPEN)

    def test_a_name_is_resolved_once_and_that_address_is_used(self, images, web, monkeypatch):
        port, asked = web.server.server_port, []
        real = socket.getaddrinfo

        def changing(host, *args, **kwargs):
            if host != "rebind.example":
                return real(host, *args, **kwargs)
            asked.append(host)
            address = "127.0.0.1" if len(asked) == 1 else "169.254.169.254"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr(socket, "getaddrinfo", changing)
        web.routes["/a.png"] = Answer(PNG)
        assert images.load_rgb(f"http://rebind.example:{port}/a.png", OPEN).shape == (3, 4, 3)
        assert len(asked) == 1 and web.seen[0].headers["Host"] == f"rebind.example:{port}"

    def test_private_ones_only_if_allowed(self, web, other_web):
        strict = fetcher(rules=AddressRules(allow_private=False))
        with pytest.raises(AddressRefused, match="ALLOW_PRIVATE_ADDRESSES"):
            strict.load_rgb(f"{web.url}/a.png", OPEN)
        web.routes["/data/upload/1/a.png"] = Answer(PNG)
        access = ImageAccess(hostname=web.url, token="t")
        assert strict.load_rgb("/data/upload/1/a.png", access).shape == (3, 4, 3)
        assert web.seen and not other_web.seen

    def test_an_allow_list(self, web):
        listed = fetcher(rules=AddressRules(hosts=("a.example", ".b.example")))
        for host in ("127.0.0.1", "xa.example", "b.example.org", "xb.example"):
            with pytest.raises(AddressRefused, match="IMAGE_HOSTS"):
                listed.load_rgb(f"http://{host}:{web.server.server_port}/a.png", OPEN)
        web.routes["/data/upload/1/a.png"] = Answer(PNG)
        listed.load_rgb("/data/upload/1/a.png", ImageAccess(hostname=web.url))
        rules = AddressRules(hosts=("a.example", ".b.example"))
        for host in ("a.example", "b.example", "x.y.b.example"):
            rules.check_name(host, None)

    @pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
    def test_a_proxy_is_used_and_cannot_be_used_to_get_around(self, images, web, monkeypatch, variable):
        monkeypatch.setenv(variable, web.url)
        monkeypatch.setenv("no_proxy", "")
        web.routes["http://pictures.invalid/a.png"] = Answer(PNG)
        assert images.load_rgb("http://pictures.invalid/a.png", OPEN).shape == (3, 4, 3)
        with pytest.raises(AddressRefused):
            images.load_rgb("http://169.254.169.254/a.png", OPEN)
        assert len(web.seen) == 1

    def test_a_host_that_needs_no_proxy_is_asked_itself(self, images, web, monkeypatch):
        monkeypatch.setenv("http_proxy", web.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        web.routes["http://pictures.invalid/a.png"] = web.routes["/a.png"] = Answer(PNG)
        for _ in range(2):
            assert images.load_rgb("http://pictures.invalid/a.png", OPEN).shape == (3, 4, 3)
            assert images.load_rgb(f"{web.url}/a.png", OPEN).shape == (3, 4, 3)


class TestCaching:
    def test_the_second_time_needs_no_network(self, web, cache):
        images = fetcher(cache)
        web.routes["/a.png"] = Answer(PNG)
        assert not images.is_cached(f"{web.url}/a.png", OPEN)
        for source in (images, images, fetcher(cache)):
            assert source.load_rgb(f"{web.url}/a.png", OPEN).shape == (3, 4, 3)
        assert len(web.seen) == 1 and images.is_cached(f"{web.url}/a.png", OPEN)

    def test_who_has_no_access_gets_nothing_from_the_cache(self, web, cache):
        images = fetcher(cache)

        def guarded(seen):
            return Answer(PNG) if seen.headers.get("Authorization") == "Token good" else Answer(status=401)

        web.routes["/data/upload/1/a.png"] = guarded
        images.load_rgb("/data/upload/1/a.png", ImageAccess(hostname=web.url, token="good"))
        with pytest.raises(FetchError, match="refused"):
            images.load_rgb("/data/upload/1/a.png", ImageAccess(hostname=web.url, token="bad"))

    def test_keys_differ_in_every_part(self):
        whole = {"hostname": "h", "token": "t", "login": "l", "password": "p"}
        keys = {cache_key("r", ImageAccess(**whole)), cache_key("r2", ImageAccess(**whole))}
        keys |= {cache_key("r", ImageAccess(**(whole | {name: None}))) for name in whole}
        keys |= {
            cache_key("r", ImageAccess(hostname="ht", token=None)),
            cache_key("tr", ImageAccess(hostname="h")),
        }
        assert len(keys) == 8

    def test_what_is_no_image_is_not_kept(self, web, cache):
        web.routes["/a.png"] = [Answer(b"<html>busy</html>"), Answer(PNG)]
        images = fetcher(cache)
        with pytest.raises(ImageDecodeError):
            images.load_rgb(f"{web.url}/a.png", OPEN)
        assert not images.is_cached(f"{web.url}/a.png", OPEN)
        assert images.load_rgb(f"{web.url}/a.png", OPEN).shape == (3, 4, 3)

    def test_a_file_damaged_in_the_cache_is_fetched_again(self, web, cache):
        web.routes["/a.png"] = Answer(PNG)
        images = fetcher(cache)
        images.load_rgb(f"{web.url}/a.png", OPEN)
        cache.write(cache_key(f"{web.url}/a.png", OPEN), PNG[:30])
        assert images.load_rgb(f"{web.url}/a.png", OPEN).shape == (3, 4, 3)

    def test_two_who_want_the_same_fetch_it_once(self, web, cache):
        web.routes["/a.png"] = lambda seen: time.sleep(0.2) or Answer(PNG)
        images = fetcher(cache)
        with ThreadPoolExecutor(6) as pool:
            got = list(pool.map(lambda _: images.load_rgb(f"{web.url}/a.png", OPEN), range(6)))
        assert all(image.shape == (3, 4, 3) for image in got)
        assert len(web.seen) == 1


NEW = png((200, 100, 50))


class Replaced:
    """A picture on a web server, which has another at the same address later; `statuses`: of its answers."""

    def __init__(self, web, **said):
        self.content, self.said, self.statuses, self.status = PNG, said, [], 200
        self.reference = f"{web.url}/a.png"
        web.routes["/a.png"] = self.answer

    def replace(self, content, **said):
        self.content, self.said = content, said

    def answer(self, seen):
        headers = {
            {"etag": "ETag", "modified": "Last-Modified"}[key]: value for key, value in self.said.items()
        }
        asked = {
            "etag": seen.headers.get("If-None-Match"),
            "modified": seen.headers.get("If-Modified-Since"),
        }
        is_same = bool(self.said) and all(asked[key] == value for key, value in self.said.items())
        status = self.status if self.status != 200 else 304 if is_same else 200
        self.statuses.append(status)
        return Answer(self.content if status == 200 else b"", status, headers)


def make_older(cache, reference, seconds):
    """Let so much time go by since a picture in the cache was confirmed."""
    name = cache_key(reference, OPEN)
    (path,) = cache._folder.glob(f"*/{name}")
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - seconds))


def colour(images, reference):
    return tuple(images.load_rgb(reference, OPEN)[0, 0])


class TestReplacedPictures:
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ({"etag": '"1"'}, {"etag": '"2"'}),
            ({"etag": 'W/"1"'}, {"etag": 'W/"2"'}),
            ({"modified": "Fri, 27 Nov 2026 10:00:00 GMT"}, {"modified": "Fri, 27 Nov 2026 11:00:00 GMT"}),
            ({"etag": '"1"', "modified": "Fri, 27 Nov 2026 10:00:00 GMT"}, {"etag": '"2"'}),
        ],
    )
    def test_the_host_is_asked_after_a_while_and_a_new_picture_is_taken(self, web, cache, before, after):
        picture, images = Replaced(web, **before), fetcher(cache)
        assert colour(images, picture.reference) == (10, 20, 30)
        old_id = images.picture_id(picture.reference, OPEN)
        make_older(cache, picture.reference, ASK_AGAIN_AFTER_S)
        assert images.known_picture_id(picture.reference, OPEN) is None
        assert images.picture_id(picture.reference, OPEN) == old_id
        picture.replace(NEW, **after)
        assert colour(images, picture.reference) == (10, 20, 30), "not asked about again so soon"
        make_older(cache, picture.reference, ASK_AGAIN_AFTER_S)
        assert colour(images, picture.reference) == (200, 100, 50)
        assert images.known_picture_id(picture.reference, OPEN) != old_id
        assert picture.statuses == [200, 304, 200]

    def test_where_a_host_says_nothing_to_ask_with_the_file_comes_again_but_later(self, web, cache):
        picture, images = Replaced(web), fetcher(cache)
        colour(images, picture.reference)
        picture.replace(NEW)
        make_older(cache, picture.reference, ASK_AGAIN_AFTER_S)
        assert colour(images, picture.reference) == (10, 20, 30)
        make_older(cache, picture.reference, FETCH_AGAIN_AFTER_S)
        assert colour(images, picture.reference) == (200, 100, 50)

    def test_another_process_sees_the_new_picture_too(self, web, cache):
        picture, here, there = Replaced(web, etag='"1"'), fetcher(cache), fetcher(cache)
        ids = [images.picture_id(picture.reference, OPEN) for images in (here, there)]
        picture.replace(NEW, etag='"2"')
        make_older(cache, picture.reference, ASK_AGAIN_AFTER_S)
        ids += [images.picture_id(picture.reference, OPEN) for images in (here, there)]
        assert ids[0] == ids[1] != ids[2] == ids[3]
        assert picture.statuses == [200, 200]

    def test_while_the_host_is_away_the_picture_that_is_here_is_used(self, web, cache, caplog):
        picture, images = Replaced(web, etag='"1"'), fetcher(cache)
        colour(images, picture.reference)
        make_older(cache, picture.reference, ASK_AGAIN_AFTER_S)
        picture.status = 503
        assert colour(images, picture.reference) == (10, 20, 30)
        asked = len(picture.statuses)
        assert colour(images, picture.reference) == (10, 20, 30)
        assert len(picture.statuses) == asked, "it is not asked at every use"
        assert "used as it was fetched before" in caplog.text

    @pytest.mark.parametrize("status", [404, 401, 403])
    def test_what_is_gone_or_forbidden_by_now_is_used_no_more(self, web, cache, status):
        picture, images = Replaced(web, etag='"1"'), fetcher(cache)
        colour(images, picture.reference)
        make_older(cache, picture.reference, ASK_AGAIN_AFTER_S)
        picture.status = status
        for _ in range(2):
            with pytest.raises(FetchError, match=str(status)):
                images.load_rgb(picture.reference, OPEN)
        assert not images.is_cached(picture.reference, OPEN)

    def test_a_file_of_an_earlier_release_is_read_and_fetched_again_later(self, web, cache):
        picture, images = Replaced(web, etag='"2"'), fetcher(cache)
        picture.replace(NEW, etag='"2"')
        cache.write(cache_key(picture.reference, OPEN), PNG)
        assert colour(images, picture.reference) == (10, 20, 30)
        make_older(cache, picture.reference, FETCH_AGAIN_AFTER_S)
        assert colour(images, picture.reference) == (200, 100, 50)

    def test_a_304_that_nobody_asked_for_is_an_error(self, web, images):
        web.routes["/a.png"] = Answer(status=304)
        with pytest.raises(FetchError, match="304"):
            images.load_rgb(f"{web.url}/a.png", OPEN)


def test_from_settings_touches_nothing(tmp_path):
    settings = Settings.from_env({"DATA_DIR": str(tmp_path / "data"), "IMAGE_HOSTS": "a.example"})
    images = ImageFetcher.from_settings(settings)
    assert not (tmp_path / "data").exists()
    with pytest.raises(AddressRefused):
        images.load_rgb("http://b.example/a.png", OPEN)


def saved(image):
    target = io.BytesIO()
    image.save(target, "PNG")
    return target.getvalue()


class TestLargePictures:
    """A side above 1600 px is enough for smart tools and panel to keep a picture's pixels in a file."""

    @pytest.fixture
    def two_processes(self, tmp_path):
        def start():
            decoded = FileCache(tmp_path / "decoded", 10_000_000, slack=0.05)
            downloader = Downloader(AddressRules(), max_bytes=1_000_000, timeout_s=5.0)
            cache = FileCache(tmp_path / "cache", 1_000_000, slack=0.05)
            return ImageFetcher(downloader, cache, max_pixels=100_000, decoded=decoded)

        return start(), start()

    def test_what_one_process_decoded_the_others_map(self, two_processes, web, tmp_path, monkeypatch):
        pixels = np.random.default_rng(2).integers(0, 256, (12, 1700, 3), np.uint8)
        web.routes["/wide.png"] = Answer(saved(Image.fromarray(pixels)))
        first, second = two_processes
        made = first.pyramid(f"{web.url}/wide.png", OPEN)
        assert [level.shape[1] for level in made.levels] == [1700, 850, 425]

        def decode(*_, **__):
            raise AssertionError("decoded again")

        monkeypatch.setattr("backend.infra.images.fetcher.decode", decode)
        monkeypatch.setattr("backend.infra.images.fetcher.decode_shrunk", decode)
        for images in (first, second):
            assert np.array_equal(images.load_rgb(f"{web.url}/wide.png", OPEN), pixels)
            assert images.shrunk(f"{web.url}/wide.png", OPEN, 170)[0].shape == (1, 170, 3)
        assert len(web.seen) == 1

    def test_another_picture_at_the_address_is_decoded_anew(self, two_processes, web, monkeypatch):
        images = two_processes[0]
        for colour in (20, 200):
            web.routes["/wide.png"] = Answer(saved(Image.new("RGB", (1700, 4), (colour,) * 3)))
            assert images.pyramid(f"{web.url}/wide.png", OPEN).levels[0][0, 0, 0] == colour
            later = time.time() + FETCH_AGAIN_AFTER_S + 1
            monkeypatch.setattr("backend.infra.images.fetcher.time.time", lambda now=later: now)

    def test_sixteen_bits_are_told_of_whether_they_are_kept_or_not(self, two_processes, web):
        for name, width in (("small", 8), ("wide", 1700)):
            deep = np.linspace(50, 3000, width * 4).astype(np.uint16).reshape(4, width)
            web.routes[f"/{name}.png"] = Answer(saved(Image.fromarray(deep)))
            address = f"{web.url}/{name}.png"
            for images in two_processes:
                assert images.pyramid(address, OPEN).levels[0].max() == 255
                assert images.stretched_range(address, OPEN) == (50, 3000)
