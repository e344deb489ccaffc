"""Each row of the panel, by mouse and keyboard, in a real browser."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from backend.service.jobs.log import log_path
from tests.browser.conftest import serve
from tests.panel_fakes import (
    KEY,
    UnreachableLabelStudio,
    all_shapes,
    make_panel_services,
    publish_version,
    region,
)


def toast(page, text):
    expect(page.locator(".toast", has_text=text)).to_be_visible(timeout=15_000)


def is_off(page, name):
    return page.get_by_role("button", name=name, exact=True).get_attribute("aria-disabled") == "true"


def test_train_with_progress_curve_and_result(panel, label_studio, services, worker):
    expect(panel.locator("#train-reason")).to_contain_text("Label at least one image")
    assert is_off(panel, "Train Model")
    expect(panel.locator("#model-status")).to_have_text("Not trained")
    label_studio.create_annotation(1, all_shapes())
    services.backend.events.note("ANNOTATION_CREATED", KEY)
    expect(panel.locator("#annotated-images")).to_have_text("1", timeout=10_000)
    expect(panel.locator("#total-annotations")).to_have_text("4")
    panel.get_by_role("button", name="Train Model").click()
    expect(panel.locator("#training")).to_contain_text(re.compile(r"epoch \d+ of 12"), timeout=10_000)
    expect(panel.locator("#training .chart polyline.loss")).to_have_count(1)
    expect(panel.locator("#training .chart polyline.metric")).to_have_count(1)
    expect(panel.locator("#training")).to_contain_text("left")
    expect(panel.locator("#training")).to_contain_text("random weights")
    expect(panel.locator("#model-status")).to_have_text("Trained ✓", timeout=20_000)
    expect(panel.locator("#training")).to_contain_text("It learned from 3 images with 12 objects")
    expect(panel.locator("#statistics")).to_contain_text("resnet18")
    [job] = services.queue.jobs
    services.documents.write(log_path(job), {"lines": ["10:00 INFO epoch 1 of 12", "10:01 INFO <b>done</b>"]})
    panel.locator("#training summary", has_text="Log").click()
    expect(panel.locator("#training .log")).to_have_text("10:00 INFO epoch 1 of 12\n10:01 INFO <b>done</b>")


@pytest.mark.parametrize(("choice", "trained"), [("Keep best so far", True), ("Discard", False)])
def test_stop_keeps_or_discards(panel, label_studio, worker, choice, trained):
    label_studio.create_annotation(1, all_shapes())
    panel.reload()
    panel.wait_for_selector(".tile[aria-selected=true]")
    panel.get_by_role("button", name="Train Model").click()
    panel.get_by_role("button", name="Stop", exact=True).click()
    expect(panel.get_by_role("button", name="Go on")).to_be_visible()
    panel.get_by_role("button", name=choice).click()
    expect(panel.locator("#training progress")).to_have_count(0, timeout=15_000)
    expect(panel.locator("#model-status")).to_have_text(
        "Trained ✓" if trained else "Not trained", timeout=10_000
    )


def test_predict_slider_accept_undo_clear(panel, services, label_studio):
    publish_version(services, "v1")
    expect(panel.locator("#model-status")).to_have_text("Trained ✓", timeout=10_000)
    calls = []
    panel.on("request", lambda request: calls.append((request.method, request.url.partition("/tasks/")[2])))
    panel.get_by_role("button", name="Predict Current").click()
    expect(panel.locator("#accept-note")).to_have_text("2 regions to accept.")
    expect(panel.locator(".tile[aria-selected=true]")).to_contain_text("AI 0.50")
    calls.clear()
    slider = panel.locator("#threshold")
    slider.focus()
    for _ in range(55):
        slider.press("ArrowRight")
    expect(panel.locator("#threshold-value")).to_have_text("0.85")
    expect(panel.locator("#accept-note")).to_have_text("1 region to accept.")
    assert calls == []  # the slider filters here; nothing is fetched
    panel.get_by_role("button", name="Accept Predictions").click()
    toast(panel, "1 region accepted")
    [annotation] = label_studio.annotations(1)
    assert [found["score"] for found in annotation["result"]] == [pytest.approx(0.9)]
    expect(panel.locator(".tile[aria-selected=true]")).to_contain_text("✓ 1")
    panel.locator("#undo").click()
    toast(panel, "taken back")
    assert label_studio.annotations(1) == []
    panel.get_by_role("button", name="Clear Predictions").click()
    toast(panel, "1 prediction cleared")
    assert is_off(panel, "Accept Predictions")


def test_what_is_hidden_is_not_accepted(panel, services, label_studio):
    publish_version(services, "v1")
    prediction = {"task": 1, "result": all_shapes(), "score": 0.6, "model_version": "v1"}
    label_studio.import_predictions(7, [prediction])
    panel.reload()
    expect(panel.locator("#accept-note")).to_have_text("4 regions to accept.")
    panel.get_by_label("Painted areas").uncheck()
    expect(panel.locator("#accept-note")).to_have_text("3 regions to accept.")
    panel.get_by_role("button", name="Accept Predictions").click()
    toast(panel, "3 regions accepted")
    [annotation] = label_studio.annotations(1)
    assert {result["type"] for result in annotation["result"]} == {
        "rectanglelabels",
        "ellipselabels",
        "polygonlabels",
    }


def test_accepting_is_refused_when_somebody_annotated_meanwhile(panel, services, label_studio):
    publish_version(services, "v1")
    panel.reload()
    panel.get_by_role("button", name="Predict Current").click()
    expect(panel.locator("#accept-note")).to_have_text("2 regions to accept.")
    label_studio.create_annotation(1, [all_shapes()[0]])
    panel.get_by_role("button", name="Accept Predictions").click()
    toast(panel, "got an annotation meanwhile")
    assert len(label_studio.annotations(1)) == 1


def test_predict_all_with_progress_and_cancel(panel, services, label_studio, worker):
    publish_version(services, "v1")
    panel.reload()
    panel.get_by_role("button", name="Predict All").click()
    expect(panel.locator("#predicting")).to_contain_text(re.compile(r"\d+ of 12 tasks"), timeout=10_000)
    expect(panel.locator("#predicting")).to_contain_text(re.compile(r"\d+ of 72 tiles"))
    panel.get_by_role("button", name="Cancel").click()
    expect(panel.locator("#predicting")).to_contain_text("Stopped", timeout=10_000)
    panel.get_by_role("button", name="Predict All").click()
    expect(panel.locator("#predicting")).to_contain_text("12 tasks predicted", timeout=20_000)
    assert {item["task"] for item in label_studio.pushed} == set(range(1, 13))


def test_task_list_filters_sorts_and_opens_by_keyboard(panel, services, label_studio):
    publish_version(services, "v1")
    for task_id, score in [(4, 0.9), (5, 0.2)]:
        label_studio.import_predictions(
            7, [{"task": task_id, "result": all_shapes(), "score": score, "model_version": "v1"}]
        )
    services.backend.events.note("TASKS_CREATED", KEY)
    expect(panel.locator("#filter option[value=predicted]")).to_have_text("Predicted (2)", timeout=15_000)
    panel.select_option("#filter", "predicted")
    panel.select_option("#sort", "score")
    expect(panel.locator("#strip-count")).to_have_text("2 tasks")
    expect(panel.locator("#task-name")).to_have_text("slide_00005.png")
    panel.locator("#strip").focus()
    panel.keyboard.press("ArrowRight")
    expect(panel.locator("#task-name")).to_have_text("slide_00004.png")
    panel.locator("#predict-all").focus()
    panel.keyboard.press("ArrowLeft")
    expect(panel.locator("#task-name")).to_have_text("slide_00005.png")
    panel.keyboard.press("ArrowRight")
    expect(panel.locator("#task-name")).to_have_text("slide_00004.png")
    expect(panel.locator("#accept-note")).to_have_text("4 regions to accept.")


def test_a_wheel_scrolls_the_strip_sideways(panel):
    panel.locator("#strip").hover()
    panel.mouse.wheel(0, 300)
    panel.wait_for_function("document.getElementById('strip').scrollLeft > 0")


def test_settings_round_trip_and_marks_at_the_field(panel, services):
    panel.get_by_role("button", name="ML Training Settings").click()
    panel.get_by_role("tab", name="Training Parameters").click()
    epochs = panel.get_by_label("Epochs")
    epochs.fill("501")
    expect(panel.locator("#field-epochs-problem")).to_have_text("Epochs must be 1 to 500, not 501.")
    expect(epochs).to_have_attribute("aria-invalid", "true")
    expect(panel.locator("#save-settings")).to_be_disabled()
    epochs.fill("7")
    panel.get_by_label("Image size").select_option("320")
    panel.get_by_role("tab", name="Model Options").click()
    panel.get_by_label("Detection head").uncheck()
    panel.get_by_label("Segmentation head").uncheck()
    expect(panel.locator("#field-enable_detection-problem")).to_contain_text("at least one head")
    panel.get_by_label("Detection head").check()
    panel.get_by_label("Backbone architecture").select_option("convnext_atto")
    panel.get_by_role("tab", name="Inference Parameters").click()
    panel.get_by_label("Confidence threshold", exact=True).last.fill("0.55")
    panel.locator("#save-settings").click()
    toast(panel, "Saved")
    assert services.projects.settings(KEY).params == {
        "epochs": 7,
        "image_size": 320,
        "enable_detection": True,
        "enable_segmentation": False,
        "backbone": "convnext_atto",
        "confidence_threshold": 0.55,
    }
    panel.reload()
    expect(panel.locator("#threshold-value")).to_have_text("0.55")
    panel.get_by_role("button", name="ML Training Settings").click()
    panel.get_by_role("tab", name="Training Parameters").click()
    expect(panel.get_by_label("Epochs")).to_have_value("7")


def test_a_parameter_that_only_the_service_knows_has_a_row(panel):
    def with_patience(route):
        settings = route.fetch().json()
        [epochs] = [field for field in settings["fields"] if field["name"] == "epochs"]
        words = {"name": "patience", "title": "Patience", "explanation": "Epochs to wait.", "default": 7}
        settings["fields"].append({**epochs, **words, "minimum": 2, "maximum": 90})
        settings["effective"]["patience"] = 5
        route.fulfill(json=settings)

    panel.route("**/settings", with_patience)
    panel.get_by_role("button", name="ML Training Settings").click()
    panel.get_by_role("tab", name="Training Parameters").click()
    expect(panel.get_by_label("Patience")).to_have_value("5")
    expect(panel.locator("#field-patience-explain")).to_have_text("Epochs to wait. 2 to 90, default 7.")
    panel.get_by_label("Patience").fill("1")
    expect(panel.locator("#field-patience-problem")).to_have_text("Patience must be 2 to 90, not 1.")


def test_what_a_training_left_out_and_where_annotators_disagree_is_listed(panel, services):
    job = services.queue.enqueue("train", KEY, "jobs/x/request.json")
    services.queue.jobs[job] = replace(
        services.queue.jobs[job],
        status="failed",
        ended_at=time.time(),
        error="There is nothing to learn from.",
        details={
            "unusable": {"pixels": 9, "shared_id": 1},
            "left_out_where": {"pixels": {"tasks": [4], "tasks_count": 3, "names": ""}},
            "disputed_tasks": [3],
            "disputed_tasks_count": 2,
        },
    )
    panel.reload()
    box = panel.locator("#training")
    box.get_by_text("9 regions and tasks left out").click()
    expect(box.locator("[data-part=left-out] li p").first).to_have_text(
        "9 × its coordinates are pixels, and Label Studio's are percent of the image. "
        "Divide by the image's width or height, multiply by 100, and import again."
    )
    expect(box.locator("[data-part=left-out] li").first).to_contain_text("and 2 more")
    box.get_by_role("button", name="Task 4").click()
    expect(panel.locator("#task-name")).to_have_text("slide_00004.png")
    box.get_by_text("Annotators disagree on 2 tasks").click()
    expect(box.locator("[data-part=disputed]")).to_contain_text("and 1 more")
    box.get_by_role("button", name="Task 3").click()
    expect(panel.locator("#task-name")).to_have_text("slide_00003.png")


def test_a_value_that_only_the_server_refuses_is_shown(panel):
    panel.get_by_role("button", name="ML Training Settings").click()
    panel.get_by_role("tab", name="Training Parameters").click()
    panel.get_by_label("Epochs").fill("9")
    problem = '{"error": "epochs is odd", "errors": {"epochs": "epochs is odd today"}}'
    panel.route("**/settings", lambda route: route.fulfill(status=400, body=problem))
    panel.locator("#save-settings").click()
    expect(panel.locator("#settings .dialog-foot")).to_contain_text("epochs is odd today")
    expect(panel.locator("#field-epochs-problem")).to_have_text("epochs is odd today")


def test_automatic_training_is_switched_on_with_its_two_values(panel, services):
    panel.get_by_role("button", name="ML Training Settings").click()
    panel.get_by_role("tab", name="Model Options").click()
    expect(panel.get_by_label("After annotations")).to_be_disabled()
    panel.get_by_label("Train automatically").check()
    expect(panel.get_by_label("After annotations")).to_have_value("20")
    panel.get_by_label("After annotations").fill("0")
    expect(panel.locator("#field-auto-annotations-problem")).to_have_text(
        "After annotations must be 1 to 100000, not 0."
    )
    expect(panel.locator("#save-settings")).to_be_disabled()
    panel.get_by_label("After annotations").fill("30")
    panel.get_by_label("Quiet minutes").fill("0")
    panel.locator("#save-settings").click()
    toast(panel, "Saved")
    saved = services.projects.settings(KEY).auto_train
    assert (saved.annotations, saved.quiet_minutes) == (30, 0.0)


def test_changing_the_backbone_says_that_the_saved_model_no_longer_fits(panel, services):
    publish_version(services, "v1")
    panel.reload()
    expect(panel.locator("#model-status")).to_have_text("Trained ✓")
    panel.get_by_role("button", name="ML Training Settings").click()
    panel.get_by_role("tab", name="Model Options").click()
    panel.get_by_label("Backbone architecture").select_option("regnety_004")
    expect(panel.locator("#part-model .note")).to_contain_text("it no longer fits regnety_004")


def test_training_images_are_chosen(panel, services, label_studio):
    for task_id in (1, 2, 3):
        label_studio.create_annotation(task_id, all_shapes())
    panel.reload()
    expect(panel.locator("#annotated-images")).to_have_text("3", timeout=60_000)
    panel.get_by_role("button", name="ML Training Settings").click()
    expect(panel.locator("#images-summary")).to_contain_text("3 of 3 labelled images chosen")
    assert panel.locator(".image-line .mark[data-state=loaded]").count() == 3
    panel.get_by_role("button", name="Deselect All").click()
    expect(panel.locator("#settings .dialog-foot")).to_contain_text("Choose at least one")
    panel.get_by_role("checkbox", name="slide_00002.png").check()
    panel.locator("#save-settings").click()
    toast(panel, "Saved")
    assert services.projects.settings(KEY).params == {"task_ids": [2]}
    expect(panel.locator("#images-summary")).to_contain_text("1 of 3")
    panel.get_by_role("button", name="Select All with Labels").click()
    panel.locator("#save-settings").click()
    expect(panel.locator("#images-summary")).to_contain_text("3 of 3")
    assert services.projects.settings(KEY).params == {}


def test_versions_save_load_compare_activate_delete(panel, services, tmp_path, open_page):
    publish_version(services, "v1", metrics={"box_map50": 0.5})
    publish_version(services, "v2")
    panel.get_by_role("button", name="ML Training Settings").click()
    panel.get_by_role("tab", name="Save / Load Model").click()
    expect(panel.locator(".version")).to_have_count(2)
    panel.locator(".version").nth(0).get_by_text("Compare").click()
    panel.locator(".version").nth(1).get_by_text("Compare").click()
    expect(panel.locator("#comparison")).to_contain_text("v2 is better than v1")
    expect(panel.locator("#comparison th.group")).to_have_text(["All labels", "Cell", "Tissue"])
    with panel.expect_download() as download:
        panel.locator(".version").nth(0).get_by_text("Save Trained Model").click()
    saved = tmp_path / "saved.model"
    download.value.save_as(saved)
    panel.locator(".version").nth(1).get_by_role("button", name="Activate").click()
    expect(panel.locator(".version[data-current=true]")).to_have_attribute("data-version", "v1")
    panel.locator(".version").nth(0).get_by_role("button", name="Delete").click()
    panel.get_by_role("button", name="Delete for good?").click()
    expect(panel.locator(".version")).to_have_count(1)

    other = make_panel_services(tmp_path / "other")
    with serve(other) as address:
        page = open_page(f"{address}/panel")
        page.wait_for_selector(".tile[aria-selected=true]")
        page.get_by_role("button", name="ML Training Settings").click()
        page.get_by_role("tab", name="Save / Load Model").click()
        page.set_input_files("#model-file", saved)
        page.get_by_role("button", name="Load Existing Model").click()
        # An imported model gets a name of its own, as the real store gives it one.
        expect(page.locator("#part-versions")).to_contain_text("Loaded: version imported-1 serves now")
    assert other.store.card(KEY, "imported-1").imported_from == "v2"


def test_without_label_studio_the_page_says_what_is_missing_and_still_works(open_page, tmp_path):
    services = make_panel_services(tmp_path, UnreachableLabelStudio())
    publish_version(services, "v1")
    with serve(services) as address:
        page = open_page(f"{address}/panel")
        expect(page.locator("#stage-message")).to_contain_text("LABEL_STUDIO_URL")
        expect(page.locator("#connection")).to_contain_text("does not answer")
        expect(page.locator("#model-status")).to_have_text("Trained ✓")
        page.locator("#open-check").click()
        expect(page.locator("[data-check=label_studio][data-state=failed] .fix")).to_contain_text(
            "LABEL_STUDIO_URL"
        )
        page.keyboard.press("Escape")
        page.get_by_role("button", name="ML Training Settings").click()
        page.get_by_role("tab", name="Training Parameters").click()
        expect(page.get_by_label("Epochs")).to_have_value("50")
        page.wait_for_timeout(200)
        page.close()


def test_check_connection_lists_links_with_fixes(panel, label_studio, services):
    label_studio.backends = [{"url": "http://127.0.0.1:9090", "state": "CO", "model_version": "v0"}]
    publish_version(services, "v1")
    panel.get_by_role("button", name="Check connection").click()
    for check, state in [
        ("token", "ok"),
        ("webhook", "failed"),
        ("version", "warning"),
        ("image-upload", "ok"),
    ]:
        expect(panel.locator(f"[data-check={check}][data-state={state}]")).to_have_count(1)
    expect(panel.locator("[data-check=webhook] .fix")).to_contain_text("SSRF_PROTECTION_ENABLED=false")
    expect(panel.locator("#check .note")).to_contain_text("broken")
    expect(panel.locator("[data-check=controls] .check-parts li[data-state=ok]")).to_have_count(4)
    expect(panel.locator("[data-check=labels] .check-parts li")).to_contain_text(
        ["Cell learned", "Debris learned", "Nucleus learned", "Tissue learned"]
    )


def test_names_and_labels_are_never_html(open_page, tmp_path, label_studio):
    evil = '<img src=x onerror="document.title=1">'
    label_studio.title = evil
    label_studio.label_config = (
        '<View><Image name="image" value="$image"/><RectangleLabels name="box" toName="image">'
        '<Label value="&lt;img src=x onerror=&quot;document.title=1&quot;&gt;"/></RectangleLabels></View>'
    )
    label_studio.known_tasks[0]["data"]["image"] = "/data/upload/7/0a1b2c3d-<b>x</b>_00001.png"
    value = {"x": 10, "y": 10, "width": 30, "height": 30}
    label_studio.create_annotation(1, [region("rectangle", evil, evil, value)])
    with serve(make_panel_services(tmp_path, label_studio)) as address:
        page = open_page(f"{address}/panel")
        expect(page.locator("#task-name")).to_have_text("b>_00001.png", timeout=10_000)
        page.locator("#regions-box summary").click()
        expect(page.locator("#regions")).to_contain_text(evil)
        expect(page.locator("#statistics")).to_contain_text(evil, timeout=10_000)
        assert page.title() == "ML Mode"
        assert page.locator("img[src=x]").count() == 0


def test_two_pages_of_a_task(open_page, tmp_path, label_studio):
    label_studio.label_config = (
        '<View><Image name="image" valueList="$pages"/><RectangleLabels name="box" toName="image">'
        '<Label value="Cell"/></RectangleLabels></View>'
    )
    label_studio.known_tasks[:] = [{"id": 1, "data": {"pages": ["a_1.png", "a_2.png"]}}]
    value = {"x": 10, "y": 10, "width": 30, "height": 30}
    label_studio.create_annotation(1, [region("rectangle", "Cell", "r", value, item_index=1)])
    with serve(make_panel_services(tmp_path, label_studio)) as address:
        page = open_page(f"{address}/panel")
        expect(page.locator("#regions-summary")).to_have_text("0 regions shown", timeout=10_000)
        page.get_by_role("button", name="Next page").click()
        expect(page.locator("#regions-summary")).to_have_text("1 region shown")


def test_a_page_whose_service_is_gone_says_that_it_may_be_out_of_date(open_page, address):
    page = open_page(f"{address}/health")
    state = page.request.get(f"{address}/api/projects/{KEY}/state").text()
    told = []

    def one_state_and_then_nothing(route):
        if told:
            route.abort()
        else:
            told.append(state)
            body = f"event: state\nretry: 50\ndata: {state}\n\n"
            route.fulfill(content_type="text/event-stream", body=body)

    page.route("**/events", one_state_and_then_nothing)
    page.goto(f"{address}/panel")
    expect(page.locator("#statistics")).to_contain_text("may be out of date")
    page.unroute("**/events")
    expect(page.locator("#statistics")).not_to_contain_text("may be out of date", timeout=15_000)
