/* Numbers and times as people read them. */

export const score = (value) => (value === null || value === undefined ? "–" : value.toFixed(2));

export const count = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en"));

export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

export function moment(seconds) {
  return seconds ? new Date(seconds * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) : "–";
}

export function metricName(name) {
  return name.replaceAll("_", " ");
}

export function figure(value) {
  if (typeof value !== "number") return "–";
  return Number.isInteger(value) ? count(value) : value.toFixed(3);
}
