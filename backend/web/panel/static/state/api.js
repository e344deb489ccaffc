/* The panel's calls. Everything here is a plain HTTP call that a script can make too: see /openapi.json. */

export class ApiError extends Error {
  constructor(status, body) {
    super(body.error || `the service answered ${status}`);
    this.status = status;
    this.errors = body.errors || {};
    this.field = body.field || null;
  }
}

async function request(method, path, { body, file, signal } = {}) {
  const headers = {};
  let payload;
  if (file) {
    headers["Content-Type"] = "application/octet-stream";
    payload = file;
  } else if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    payload = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, { method, headers, body: payload, signal, credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { error: "The service does not answer. Is it running?" });
  }
  const text = await response.text();
  let content = {};
  try {
    content = text ? JSON.parse(text) : {};
  } catch {
    content = { error: `the service answered ${response.status} without JSON` };
  }
  if (!response.ok) throw new ApiError(response.status, content);
  return content;
}

const project = (key) => `/api/projects/${encodeURIComponent(key)}`;
const task = (key, id) => `${project(key)}/tasks/${id}`;
const version = (key, name) => `${project(key)}/versions/${encodeURIComponent(name)}`;

export const api = {
  projects: () => request("GET", "/api/projects"),
  project: (key) => request("GET", project(key)),
  state: (key, since, waitS, signal) =>
    request("GET", `${project(key)}/state${since === null ? "" : `?since=${since}&wait_s=${waitS}`}`, { signal }),
  eventsUrl: (key) => `${project(key)}/events`,
  check: (key) => request("GET", key ? `${project(key)}/check` : "/api/check"),
  tasks: (key, { show, sort, offset, limit }, signal) =>
    request("GET", `${project(key)}/tasks?show=${show}&sort=${sort}&offset=${offset}&limit=${limit}`, { signal }),
  taskIds: (key, show) => request("GET", `${project(key)}/task-ids?show=${show}`),
  task: (key, id, signal) => request("GET", task(key, id), { signal }),
  imageUrl: (key, id, page) => `${task(key, id)}/images/${page}`,
  tileUrl: (key, id, page, level, column, row) => `${task(key, id)}/images/${page}/tiles/${level}/${column}/${row}`,
  thumbnailUrl: (key, id, page = 0) => `${task(key, id)}/thumbnails/${page}`,
  predict: (key, id) => request("POST", `${task(key, id)}/predict`),
  accept: (key, id, body) => request("POST", `${task(key, id)}/accept`, { body }),
  undoAccept: (key, id) => request("POST", `${task(key, id)}/undo-accept`),
  clear: (key, id) => request("DELETE", `${task(key, id)}/predictions`),
  trainingImages: (key, offset, limit) => request("GET", `${project(key)}/training-images?offset=${offset}&limit=${limit}`),
  train: (key, params) => request("POST", `${project(key)}/train`, { body: { params } }),
  predictAll: (key) => request("POST", `${project(key)}/predict-all`),
  jobLog: (job) => request("GET", `/api/jobs/${encodeURIComponent(job)}/log`),
  stop: (job, mode) => request("POST", `/api/jobs/${encodeURIComponent(job)}/stop`, { body: { mode } }),
  settings: (key) => request("GET", `${project(key)}/settings`),
  saveSettings: (key, changes) => request("PATCH", `${project(key)}/settings`, { body: changes }),
  backbones: () => request("GET", "/api/backbones"),
  versions: (key) => request("GET", `${project(key)}/versions`),
  importVersion: (key, file, activate) => request("POST", `${project(key)}/versions?activate=${activate}`, { file }),
  versionFileUrl: (key, name) => `${version(key, name)}/file`,
  learningCurve: (key) => request("GET", `${project(key)}/learning-curve`),
  ledger: (key) => request("GET", `${project(key)}/ledger`),
  reportUrl: (key, name) => `${version(key, name)}/report.html`,
  activate: (key, name) => request("POST", `${version(key, name)}/activate`),
  pin: (key, name, pinned) => request("PUT", `${version(key, name)}/pin`, { body: { pinned } }),
  deleteVersion: (key, name) => request("DELETE", version(key, name)),
  secondLook: (key, { kind, show, offset, limit }) =>
    request("GET", `${project(key)}/second-look?show=${show}&offset=${offset}&limit=${limit}${kind ? `&kind=${kind}` : ""}`),
  takeSecondLook: (key, images, pushes) => request("POST", `${project(key)}/second-look`, { body: { images, pushes } }),
  decideFinding: (key, finding, action) => request("POST", `${project(key)}/second-look/${encodeURIComponent(finding)}/${action}`),
  acceptance: (key, precision) => request("GET", `${project(key)}/acceptance?precision=${precision}`),
  countAcceptance: (key) => request("POST", `${project(key)}/acceptance/count`),
  acceptAtPrecision: (key, precision) => request("POST", `${project(key)}/acceptance/accept`, { body: { precision } }),
  undoBatch: (key, batch) => request("POST", `${project(key)}/acceptance/batches/${encodeURIComponent(batch)}/undo`),
  labelNext: (key) => request("GET", `${project(key)}/label-next?limit=1`),
  switchLabelNext: (key, isOn, score) => request("PUT", `${project(key)}/label-next/switch`, { body: { is_on: isOn, score } }),
  compare: (key, before, after) =>
    request("GET", `${project(key)}/versions/compare?before=${encodeURIComponent(before)}&after=${encodeURIComponent(after)}`),
};
