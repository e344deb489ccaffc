from dataclasses import fields
from pathlib import Path

import pytest

from backend.core.ledger.costs import Costs
from backend.errors import SettingsError
from backend.settings import SETTINGS_TABLE, Settings


def test_an_empty_environment_gives_the_defaults_of_the_table():
    settings = Settings.from_env({"PORT": "  ", "REDIS_URL": ""})
    assert (settings.host, settings.port, settings.redis_url, settings.basic_auth) == (
        "127.0.0.1",
        9090,
        None,
        None,
    )
    assert settings.store_location == str(settings.data_dir)
    assert {line.name: line.default for line in SETTINGS_TABLE}["PREDICT_DEADLINE_S"] == "45"


def test_every_line_of_the_table_is_complete_and_named_once():
    names = [line.name for line in SETTINGS_TABLE]
    assert len(names) == len(set(names))
    assert all(line.type_name and line.default and line.meaning.endswith(".") for line in SETTINGS_TABLE)


@pytest.mark.parametrize(
    ("name", "raw", "field", "value"),
    [
        ("PORT", "80", "port", 80),
        ("MAX_BODY_BYTES", "512M", "max_body_bytes", 512 * 1024**2),
        ("IMAGE_CACHE_BYTES", "5 GiB", "image_cache_bytes", 5 * 1024**3),
        ("IMAGE_MAX_BYTES", "1048576", "image_max_bytes", 1048576),
        ("ALLOW_PRIVATE_ADDRESSES", "No", "allow_private_addresses", False),
        ("SET_MODEL_VERSION", "on", "set_model_version", True),
        ("LOG_LEVEL", "debug", "log_level", "DEBUG"),
        ("DEVICE", "CUDA:1", "device", "cuda:1"),
        ("LABEL_STUDIO_URL", "http://ls:8080/", "label_studio_url", "http://ls:8080"),
        ("IMAGE_HOSTS", "a.example, .b.example,[::1]", "image_hosts", ("a.example", ".b.example", "::1")),
        ("IMAGE_TIMEOUT_S", "2.5", "image_timeout_s", 2.5),
        ("REDIS_URL", "unix:///run/redis.sock", "redis_url", "unix:///run/redis.sock"),
        ("TRAIN_WORKERS", "0", "train_workers", 0),
    ],
)
def test_good_values_are_read(name, raw, field, value):
    assert getattr(Settings.from_env({name: raw}), field) == value


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("PORT", "0"), ("PORT", "65536"), ("PORT", "80.5"), ("PORT", "-1"), ("PORT", "٣"),
        ("MAX_BODY_BYTES", "many"), ("MAX_BODY_BYTES", "0"), ("MAX_BODY_BYTES", "1.5G"),
        ("ALLOW_PRIVATE_ADDRESSES", "maybe"),
        ("LOG_LEVEL", "LOUD"), ("LOG_FORMAT", "xml"),
        ("DEVICE", "gpu"), ("DEVICE", "cuda:x"),
        ("LABEL_STUDIO_URL", "label-studio:8080"), ("LABEL_STUDIO_URL", "http://"),
        ("LABEL_STUDIO_URL", "http://user:pass@ls"), ("LABEL_STUDIO_URL", "http://[a"),
        ("REDIS_URL", "http://redis"),
        ("IMAGE_HOSTS", "http://a.example"),
        ("IMAGE_TIMEOUT_S", "nan"), ("IMAGE_TIMEOUT_S", "0"), ("PREDICT_DEADLINE_S", "91"),
        ("PRETRAINED_PATH", "/no/such/file"), ("REQUESTS_CA_BUNDLE", "/no/such/file"),
        ("DATA_DIR", __file__),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_by_name(name, raw):
    with pytest.raises(SettingsError, match=name) as caught:
        Settings.from_env({name: raw})
    line = next(line for line in SETTINGS_TABLE if line.name == name)
    assert (raw in str(caught.value)) is not line.is_secret or repr(raw) in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ("facebook/sam-vit-base", "facebook/sam-vit-base"),
        ("Zigeng/SlimSAM-uniform-77", "Zigeng/SlimSAM-uniform-77"),
        ("/models/sam", Path("/models/sam")),
        ("./models/sam", Path("models/sam")),
        ("../models/sam", Path("../models/sam")),
        ("models/sam/base", Path("models/sam/base")),
        ("sam", Path("sam")),
    ],
)
def test_a_network_is_named_by_hub_id_or_folder_and_the_older_name_counts_as_well(raw, named):
    for name in ("SAM_MODEL", "SAM_MODEL_DIR"):
        assert Settings.from_env({name: raw}).sam_model == named
    both = {"SAM_MODEL": raw, "SAM_MODEL_DIR": "/older"}
    assert Settings.from_env(both).sam_model == named
    assert Settings.from_env({"SAM_MODEL": " ", "SAM_MODEL_DIR": "/older"}).sam_model == Path("/older")


def test_a_folder_that_is_here_is_no_hub_id(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "sam").mkdir(parents=True)
    assert Settings.from_env({"SAM_MODEL": "models/sam"}).sam_model == Path("models/sam")


@pytest.mark.parametrize("half", ["BASIC_AUTH_USER", "BASIC_AUTH_PASS"])
def test_half_a_password_is_no_password(half):
    with pytest.raises(SettingsError, match="go together"):
        Settings.from_env({half: "x"})


def test_a_colon_cannot_stand_in_the_user_name():
    with pytest.raises(SettingsError, match="colon"):
        Settings.from_env({"BASIC_AUTH_USER": "a:b", "BASIC_AUTH_PASS": "x"})


def test_secrets_never_show():
    environ = {
        "BASIC_AUTH_USER": "me",
        "BASIC_AUTH_PASS": "hush-1",
        "LABEL_STUDIO_API_KEY": "hush-2",
        "REDIS_URL": "redis://:hush-3@redis:6379/0",
        "STORE_URL": "s3://key:hush-4@bucket/path",
    }
    settings = Settings.from_env(environ)
    assert settings.basic_auth == ("me", "hush-1")
    assert "hush" not in repr(settings)
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({"REDIS_URL": "reddis://:hush-3@redis"})
    assert "hush" not in str(caught.value)


def test_seconds_of_acts_are_named_and_every_cost_has_its_name():
    settings = Settings.from_env({"ANNOTATION_SECONDS": "box=5, mask=40.5"})
    assert settings.annotation_seconds == (("box", 5.0), ("mask", 40.5))
    every = ",".join(f"{entry.name}=1" for entry in fields(Costs))
    given = Settings.from_env({"ANNOTATION_SECONDS": every}).annotation_seconds
    assert set(vars(Costs(**dict(given))).values()) == {1.0}
    for wrong in ("box", "box=-1", "nothing=3", "box=1,box=2"):
        with pytest.raises(SettingsError, match="name=seconds"):
            Settings.from_env({"ANNOTATION_SECONDS": wrong})


def test_paths_are_told_whole_to_processes_that_run_in_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sam").mkdir()
    (tmp_path / "ca.pem").touch()
    environ = {"REQUESTS_CA_BUNDLE": "ca.pem", "SAM_MODEL": "sam", "STORE_URL": "models"}
    paths = Settings.from_env(environ).absolute_paths()
    wanted = {"REQUESTS_CA_BUNDLE": "ca.pem", "SAM_MODEL": "sam", "STORE_URL": "models", "DATA_DIR": "data"}
    assert paths == {name: str(tmp_path / path) for name, path in wanted.items()}
    monkeypatch.chdir("/")
    assert str(Settings.from_env(paths).ca_bundle) == str(tmp_path / "ca.pem")
    assert "STORE_URL" not in Settings.from_env({"STORE_URL": "s3://bucket/path"}).absolute_paths()
