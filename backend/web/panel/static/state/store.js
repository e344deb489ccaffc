/* What the page shows, in one place; a part of the page subscribes to the values it draws. */

const subscribers = new Map();

export const store = {
  projects: [],
  labelStudio: null,
  key: null,
  project: null,
  live: null,
  taskId: null,
  task: null,
  page: 0,
  busy: null,
  settings: null,
  display: { predictions: true, annotations: true, shapes: true, masks: true, labels: true, threshold: 0.3 },
};

/** Change values, then call everybody who subscribed to one of them once. */
export function update(changes) {
  Object.assign(store, changes);
  const affected = new Set();
  for (const name of Object.keys(changes)) {
    for (const callback of subscribers.get(name) || []) affected.add(callback);
  }
  for (const callback of affected) callback(store);
}

export function subscribe(names, callback) {
  for (const name of names) {
    if (!subscribers.has(name)) subscribers.set(name, new Set());
    subscribers.get(name).add(callback);
  }
}

export const canPredict = () => Boolean(store.live?.model?.version);

/** The colour of a label as the labeling config or a task has it; without one, a steady colour made from its name. */
export function colorOf(label) {
  const known = [...(store.project?.labels ?? []), ...(store.live?.statistics?.labels ?? [])];
  const entry = known.find((candidate) => candidate.label === label && candidate.color);
  if (entry && CSS.supports("color", entry.color)) return entry.color;
  let hash = 0;
  for (const character of label) hash = (hash * 31 + character.codePointAt(0)) >>> 0;
  return `hsl(${hash % 360} 70% 45%)`;
}
