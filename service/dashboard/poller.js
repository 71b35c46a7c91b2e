// @ts-check
/** Repeats requests, to keep the state up to date with one timer. */

import { ApiError, get } from "./api.js";
import { isVisible } from "./selectors.js";
import { current, subscribe, update } from "./state.js";

/** @import { Query, State } from "./types" */

const TICK_MS = 1000;
const RECONNECT_MS = 2000;
const RETRY_MS = 10_000;

/** The last request of a query. */
class LastRequest {
  /** @param {string} path @param {number} at */
  constructor(path, at) {
    this.path = path;
    this.at = at;
    this.isPending = true;
    this.hasFailed = false;
  }
}

/** By the name of a query. @type {Map<string, LastRequest>} */
const requests = new Map();

/** @type {Query<any>[]} */
let queries = [];
let failedAt = -Infinity;

/**
 * Send each request once, then again whenever it is due and a section that shows its response can be seen. Nothing is
 * sent while the page is in the background.
 *
 * @param {Query<any>[]} all
 */
export function start(all) {
  queries = all;
  setInterval(poll, TICK_MS);
  document.addEventListener("visibilitychange", poll);
  subscribe(poll); // a selection, a scroll or a response may make a request due
  poll();
}

/** Make requests due at once. @param {Iterable<string>} [names] all of them by default */
export function refresh(names = requests.keys()) {
  for (const name of names) {
    const request = requests.get(name);
    if (request !== undefined) request.at = -Infinity;
  }
  poll();
}

function poll() {
  const now = performance.now();
  if (document.hidden || (current().isConnected === false && now - failedAt < RECONNECT_MS)) return;
  for (const query of queries) {
    const path = query.path(current());
    if (path === null) requests.delete(query.name);
    else if (isDue(query, path, now)) send(query, path, now);
  }
}

/** @param {Query<any>} query @param {string} path @param {number} now */
function isDue(query, path, now) {
  const last = requests.get(query.name);
  if (last?.path !== path) return true;
  if (last.isPending || now - last.at < (last.hasFailed ? RETRY_MS : query.interval(current()))) return false;
  return query.sections === undefined || isVisible(current(), ...query.sections);
}

/** @param {Query<any>} query @param {string} path @param {number} now */
async function send(query, path, now) {
  const request = new LastRequest(path, now);
  requests.set(query.name, request);
  try {
    const body = await (query.send ?? get)(path);
    const invalid = query.invalidates?.(body, current()) ?? [];
    receive(query, path, (state) => query.receive(body, state));
    refresh(invalid);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 0) return disconnect(query);
    request.hasFailed = true;
    receive(query, path, () => query.fail(error.message));
  } finally {
    request.isPending = false;
  }
}

/** @param {Query<any>} query @param {string} path @param {(state: State) => Partial<State>} change */
function receive(query, path, change) {
  const isReconnected = current().isConnected === false;
  // The response may be about a version that is no longer selected.
  update((state) => ({ ...(query.path(state) === path && change(state)), isConnected: true }));
  if (isReconnected) refresh();
}

/** @param {Query<any>} query */
function disconnect(query) {
  failedAt = performance.now();
  requests.delete(query.name);
  update({ isConnected: false });
}
