/* What happens now: server-sent events, and where those are not to be had, one question every few seconds. */

import { api } from "./api.js";
import { store, subscribe, update } from "./store.js";

const ASK_EVERY_MS = 4000;

let source = null;
let timer = 0;
let generation = 0;

export function startLive() {
  subscribe(["key"], connect);
  document.addEventListener("visibilitychange", connect);
}

function close() {
  source?.close();
  source = null;
  clearTimeout(timer);
  generation += 1;
}

function connect() {
  close();
  // A page that nobody sees holds no connection.
  if (!store.key || document.hidden) return;
  source = new EventSource(api.eventsUrl(store.key));
  source.addEventListener("state", (event) => take(JSON.parse(event.data)));
  source.addEventListener("error", () => {
    if (source?.readyState === EventSource.CLOSED) ask(generation);
  });
}

function take(state) {
  update({ live: state });
}

async function ask(mine) {
  if (mine !== generation || document.hidden) return;
  try {
    take(await api.state(store.key, null, 0));
  } catch (error) {
    update({ live: { ...store.live, lost: error.message } });
  }
  if (mine === generation) timer = setTimeout(() => ask(mine), ASK_EVERY_MS);
}
