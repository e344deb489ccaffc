from __future__ import annotations

from tests.panel_fakes import KEY, all_shapes
from tests.web.panel.conftest import BASE, push


def test_the_ledger_is_counted_told_and_shown_in_the_metrics(client, label_studio):
    assert client.get(f"{BASE}/ledger").json["annotations"] == 0
    push(label_studio, 2)
    result = [{**one, "origin": "prediction"} for one in all_shapes()]
    label_studio.create_annotation(2, result, parent_prediction=label_studio.predictions(2)[0]["id"])
    counted = client.post(f"{BASE}/ledger", json={}).json
    assert counted["acts"]["kept"] > 0 and counted["by_version"][0]["version"] == "v1"
    assert client.get(f"{BASE}/ledger").json == counted
    metrics = client.get("/metrics").get_data(as_text=True)
    kept = float(counted["acts"]["kept"])
    assert f'lsb_ledger_regions{{act="kept",project="{KEY}",version="v1"}} {kept}' in metrics
    assert f'lsb_ledger_saved_seconds{{project="{KEY}"}}' in metrics
