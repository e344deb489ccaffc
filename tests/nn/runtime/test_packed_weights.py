import pytest
import torch

from backend.errors import VersionError
from backend.nn.runtime.packed_weights import load_packed, save_packed


def test_kernels_come_back_within_half_a_step_and_vectors_exactly(tmp_path):
    torch.manual_seed(3)
    kernel = torch.randn(6, 4, 3, 3) * torch.logspace(-3, 3, 6)[:, None, None, None]
    values = {"kernel": kernel, "bias": torch.randn(6), "count": torch.tensor(7)}
    save_packed(values, tmp_path / "w.safetensors")
    loaded = load_packed(tmp_path / "w.safetensors")
    assert set(loaded) == {"kernel", "bias"}
    torch.testing.assert_close(loaded["bias"], values["bias"], rtol=0, atol=0)
    step = kernel.flatten(1).abs().amax(dim=1) / 127
    off = (loaded["kernel"] - kernel).abs().flatten(1).amax(dim=1)
    assert (off <= 0.5001 * step).all()


def test_the_file_is_a_quarter_of_the_weights(tmp_path):
    save_packed({"kernel": torch.randn(64, 64, 3, 3)}, tmp_path / "w.safetensors")
    assert (tmp_path / "w.safetensors").stat().st_size < 0.27 * 64 * 64 * 9 * 4


def test_a_channel_of_nothing_stays_nothing(tmp_path):
    save_packed({"kernel": torch.zeros(2, 3)}, tmp_path / "w.safetensors")
    assert not load_packed(tmp_path / "w.safetensors")["kernel"].any()


@pytest.mark.parametrize("content", [None, b"rubbish"], ids=["missing", "damaged"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(VersionError, match=r"w\.safetensors"):
        load_packed(tmp_path / "w.safetensors")
