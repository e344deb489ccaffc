/* What happens now: server-sent events, and where those are not to be had, one question every few seconds. */

import { api } from "./api.js";
import { store, subscribe, update } from "./store.js";

const ASK_EVERY_MS = 4000;

let source = null;
let timer = 0;
let generation = 0;
let failures = 0;

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
  source.addEventListener("state", (event) => {
    failures = 0;
    take(JSON.parse(event.data));
  });
  source.addEventListener("error", () => {
    failures += 1;
    if (source?.readyState === EventSource.CLOSED) ask(generation);
    // A stream ends every minute and is opened again; twice in a row nothing came of that.
    else if (failures > 1) lose("The service does not answer, so this may be out of date. Is it running?");
  });
}

function take(state) {
  update({ live: state });
}

/** Say that what is shown may be out of date; before anything is shown there is nothing to say it of. */
function lose(message) {
  if (store.live && store.live.lost !== message) update({ live: { ...store.live, lost: message } });
}

async function ask(mine) {
  if (mine !== generation || document.hidden) return;
  try {
    take(await api.state(store.key, null, 0));
  } catch (error) {
    lose(error.message);
  }
  if (mine === generation) timer = setTimeout(() => ask(mine), ASK_EVERY_MS);
}
