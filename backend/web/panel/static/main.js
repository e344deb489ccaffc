/* The panel's start: every part subscribes, then the projects are asked for. */

import { startActions } from "./side/actions.js";
import { api } from "./state/api.js";
import { startAcceptance } from "./review/acceptance.js";
import { startCheck } from "./check.js";
import { startLabelNext } from "./review/label_next.js";
import { setThreshold, startDisplay } from "./side/display.js";
import { byId, fill, h } from "./page/dom.js";
import { startJobs } from "./side/jobs.js";
import { startProgress } from "./side/progress.js";
import { startLive } from "./state/live.js";
import { startSettings } from "./settings/dialog.js";
import { startSecondLook } from "./review/second_look.js";
import { startStatistics } from "./side/statistics.js";
import { store, subscribe, update } from "./state/store.js";
import { loadTask, startStrip } from "./lists/task_strip.js";
import { startTheme } from "./page/theme.js";
import { startTooltips } from "./page/tooltip.js";
import { stageMessage, startViewer } from "./viewer/viewer.js";

startTheme();
startViewer();
startStrip();
startActions();
startJobs();
startDisplay();
startStatistics();
startProgress();
startSettings();
startCheck();
startSecondLook();
startAcceptance();
startLabelNext();
startLive();
startTooltips();
subscribe(["live", "labelStudio", "project"], drawConnection);
byId("project-switch").addEventListener("change", (event) => openProject(event.target.value));
await begin();

async function begin() {
  let list;
  try {
    list = await api.projects();
  } catch (error) {
    stageMessage(h("strong", {}, "The service does not answer"), h("p", {}, error.message));
    return;
  }
  update({ projects: list.projects, labelStudio: list.label_studio });
  fill(byId("project-switch"), ...list.projects.map((project) =>
    h("option", { value: project.key }, project.title ? `${project.title} (${project.id})` : `Project ${project.id}`)));
  if (!list.projects.length) {
    byId("project-switch").append(h("option", { value: "" }, "No project"));
    explain(list.label_studio);
    return;
  }
  const linked = new URLSearchParams(window.location.hash.slice(1));
  const wanted = list.projects.find((project) => project.key === linked.get("project")) ?? list.projects[0];
  byId("project-switch").value = wanted.key;
  await openProject(wanted.key, Number(linked.get("task")) || null);
}

async function openProject(key, taskId = null) {
  if (!key) return;
  stageMessage(h("p", {}, "Opening the project…"));
  update({ live: null, project: null, task: null, taskId, page: 0, regions: [] });
  update({ key });
  if (taskId) loadTask(taskId);
  const [project, settings] = await Promise.allSettled([api.project(key), api.settings(key)]);
  if (store.key !== key) return;
  if (settings.status === "fulfilled") {
    update({ settings: settings.value });
    setThreshold(settings.value.effective.confidence_threshold);
  }
  if (project.status === "rejected") {
    stageMessage(h("strong", {}, "The project cannot be opened"), h("p", {}, project.reason.message));
    return;
  }
  update({ project: project.value });
  const link = byId("open-label-studio");
  link.hidden = !project.value.label_studio_url;
  if (/^https?:/.test(project.value.label_studio_url ?? "")) link.href = project.value.label_studio_url;
  else link.hidden = true;
  if (project.value.problem) explain(project.value);
}

/** Say what is missing to reach Label Studio, and how to set it. */
function explain({ problem, fix }) {
  stageMessage(
    h("strong", {}, "Label Studio cannot be reached"),
    h("p", {}, problem ?? ""),
    fix ? h("p", {}, fix) : null,
    h("p", {}, "Models, jobs and settings work meanwhile."),
    h("button", { type: "button", onclick: () => byId("open-check").click() }, "Check connection"),
  );
}

function drawConnection() {
  const place = byId("connection");
  const problem = store.live?.label_studio.problem ?? store.project?.problem ?? (store.key ? null : store.labelStudio?.problem);
  place.dataset.state = problem ? "bad" : store.project ? "ok" : "";
  place.textContent = problem ? `Label Studio: ${problem}` : store.project ? "Connected to Label Studio" : "";
  place.title = problem ?? "";
}
