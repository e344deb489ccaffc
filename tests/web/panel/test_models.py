from __future__ import annotations

import errno
import io
import tempfile

import pytest
from gunicorn.http.body import Body, ChunkedReader, LengthReader
from gunicorn.http.unreader import IterUnreader

from tests.panel_fakes import KEY, make_panel_services, publish_version
from tests.web.panel.conftest import BASE, client_of


def test_settings_round_trip_and_become_the_defaults(client, services):
    before = client.get(f"{BASE}/settings").json
    assert before["effective"]["epochs"] == 50 and before["origins"]["epochs"] == "default"
    changes = {
        "params": {"epochs": 7, "backbone": "regnety_004"},
        "auto_train": {"annotations": 5, "quiet_minutes": 2},
    }
    after = client.patch(f"{BASE}/settings", json=changes).json
    assert after["effective"]["epochs"] == 7 and after["origins"]["epochs"] == "project settings"
    assert services.projects.settings(KEY).auto_train.annotations == 5
    forgotten = client.patch(f"{BASE}/settings", json={"params": {"epochs": None}}).json
    assert forgotten["effective"]["epochs"] == 50
    assert forgotten["effective"]["backbone"] == "regnety_004"


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"params": {"epochs": 0, "learning_rate": 1}}, {"epochs", "learning_rate"}),
        ({"params": {"image_size": 300}}, {"image_size"}),
        ({"params": {"speed": 1}}, {"speed"}),
        ({"params": {"enable_detection": False, "enable_segmentation": False}}, {"enable_detection"}),
        ({"activation": "always"}, {"activation"}),
        (
            {"auto_train": {"annotations": 0, "quiet_minutes": -1}},
            {"auto_train.annotations", "auto_train.quiet_minutes"},
        ),
        ({"predict_after_training": "yes"}, {"predict_after_training"}),
    ],
    ids=["two ranges", "choice", "unknown", "both heads", "activation", "auto-train", "flag"],
)
def test_wrong_values_are_refused_by_field_and_nothing_is_saved(client, services, changes, fields):
    answer = client.patch(f"{BASE}/settings", json=changes)
    assert answer.status_code == 400
    assert set(answer.json["errors"]) == fields
    assert services.projects.settings(KEY).params == {}


def test_versions_are_listed_activated_pinned_compared_and_deleted(client, services):
    publish_version(services, "v1", metrics={"box_map50": 0.5})
    publish_version(services, "v2", params={"backbone": "resnet18", "epochs": 20})
    listed = client.get(f"{BASE}/versions").json
    assert [card["version"] for card in listed["versions"]] == ["v2", "v1"] and listed["current"] == "v2"
    comparison = client.get(f"{BASE}/versions/compare?before=v1&after=v2").json
    assert comparison["sentence"].startswith("v2 is better than v1")
    assert comparison["classes"][0]["label"] == "Cell"
    assert comparison["parameters"] == [{"name": "epochs", "before": 12, "after": 20}]
    assert client.delete(f"{BASE}/versions/v2").status_code == 409
    assert client.post(f"{BASE}/versions/v1/activate").json == {"version": "v1", "current": "v1"}
    assert client.put(f"{BASE}/versions/v2/pin", json={"pinned": True}).status_code == 200
    assert client.delete(f"{BASE}/versions/v2").status_code == 200
    assert client.post(f"{BASE}/versions/none-such/activate").status_code == 404


def test_a_model_is_saved_and_loaded_by_another_installation(client, services, tmp_path):
    publish_version(services, "v1")
    with client.get(f"{BASE}/versions/v1/file") as saved:
        assert saved.headers["Content-Disposition"].startswith("attachment")
        content = {"data": saved.data, "content_type": "application/octet-stream"}
    assert not list((services.settings.data_dir / "scratch").iterdir())
    other = make_panel_services(tmp_path / "other")
    loaded = client_of(other).post(f"{BASE}/versions", **content)
    version = loaded.json["version"]
    assert loaded.status_code == 201 and loaded.json == {"version": version, "current": version}
    assert other.store.card(KEY, version).imported_from == "v1"
    assert client.post(f"{BASE}/versions", data=b"x", content_type="text/plain").status_code == 415
    assert (
        client.post(f"{BASE}/versions", data=b"", content_type="application/octet-stream").status_code == 400
    )


def test_a_full_disk_is_said_with_the_next_move_when_a_model_comes_or_goes(client, services, monkeypatch):
    publish_version(services, "v1")

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", full)
    answers = [
        client.post(f"{BASE}/versions", data=b"a model", content_type="application/octet-stream"),
        client.get(f"{BASE}/versions/v1/file"),
    ]
    for answer in answers:
        assert answer.status_code == 507
        assert "No space left on device" in answer.json["error"] and "make room" in answer.json["error"]


@pytest.mark.parametrize("is_announced", [True, False], ids=["length", "chunked"])
@pytest.mark.parametrize(("room", "status"), [(0, 201), (-1, 413)], ids=["just fits", "one byte too many"])
def test_a_model_file_has_its_own_limit_whatever_that_of_other_bodies(
    client, services, tmp_path, room, status, is_announced
):
    publish_version(services, "v1")
    with client.get(f"{BASE}/versions/v1/file") as export:
        model = export.data
    limits = {"max_body_bytes": 100, "max_model_bytes": len(model) + room}
    other = client_of(make_panel_services(tmp_path / "other", settings=limits))
    answer = other.post(
        f"{BASE}/versions",
        content_type="application/octet-stream",
        content_length=len(model) if is_announced else None,
        environ_overrides={"wsgi.input": io.BytesIO(model), "wsgi.input_terminated": True},
    )
    assert answer.status_code == status, answer.json
    assert status == 201 or "MAX_MODEL_BYTES" in answer.json["error"]


class ResetConnection:
    """A body of which some comes before the connection is reset."""

    def __init__(self, pieces):
        self.pieces = list(pieces)

    def read(self, size=-1):
        if not self.pieces:
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        return self.pieces.pop(0)


def of_gunicorn(reader):
    """Return what gunicorn gives the app to read, and how it says that the body ends by itself."""
    return {"wsgi.input": Body(reader), "wsgi.input_terminated": True}


@pytest.mark.parametrize(
    ("environ", "length", "said"),
    [
        pytest.param(
            lambda half: of_gunicorn(LengthReader(IterUnreader([half]), 2 * len(half))),
            2,
            "after {half} of {whole} bytes",
            id="fewer bytes than announced",
        ),
        pytest.param(
            lambda half: of_gunicorn(LengthReader(IterUnreader([]), 2 * len(half))),
            2,
            "after 0 of {whole} bytes",
            id="none of the announced bytes",
        ),
        pytest.param(
            lambda half: of_gunicorn(ChunkedReader(None, IterUnreader([b"%x\r\n" % (2 * len(half)), half]))),
            None,
            "after 0 bytes",
            id="in the middle of a chunk",
        ),
        pytest.param(
            lambda half: {"wsgi.input": ResetConnection([half]), "wsgi.input_terminated": True},
            2,
            "after {half} of {whole} bytes",
            id="reset",
        ),
        pytest.param(
            lambda half: {"wsgi.input": io.BytesIO(half)},
            2,
            "after {half} of {whole} bytes",
            id="under another server",
        ),
    ],
)
def test_an_upload_that_breaks_off_is_said_to_and_nothing_is_imported(
    client, services, caplog, environ, length, said
):
    publish_version(services, "v1")
    with client.get(f"{BASE}/versions/v1/file") as export:
        half = export.data
    caplog.set_level("INFO")
    answer = client.post(
        f"{BASE}/versions",
        content_type="application/octet-stream",
        content_length=None if length is None else length * len(half),
        environ_overrides=environ(half),
    )
    assert answer.status_code == 400
    said = said.format(half=len(half), whole=2 * len(half))
    assert f"the upload broke off {said}" in answer.json["error"] and "send the file again" in caplog.text
    assert [one["version"] for one in client.get(f"{BASE}/versions").json["versions"]] == ["v1"]
