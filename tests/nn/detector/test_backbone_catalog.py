from __future__ import annotations

import pytest

from backend.errors import ParameterError
from backend.nn.detector.backbone_catalog import CATALOG, catalog_families, validate_backbone

SIZES = ["small", "middle", "large"]


@pytest.mark.parametrize("name", [entry.name for entry in CATALOG] + ["resnet26d"])
def test_networks_that_timm_has_are_accepted(name):
    validate_backbone(name)


@pytest.mark.parametrize("name", ["resnet999", "", "..", "[", "Резнет", "x" * 200])
def test_others_are_refused_with_some_that_come_close(name):
    with pytest.raises(ParameterError, match="near it are") as caught:
        validate_backbone(name)
    assert caught.value.field == "backbone"
    assert repr(name[:80]) in str(caught.value)


def test_every_family_is_offered_in_three_sizes():
    families = catalog_families()
    assert len(families) == 10
    assert all([entry.size for entry in entries] == SIZES for entries in families.values())
