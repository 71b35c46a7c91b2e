// @ts-check
/** The state of the page. It is never changed in place: `update` replaces it and is the only way to. */

/** @import { State, VersionKnowledge } from "./types" */

/**
 * What is known of a version before the first response.
 *
 * @type {VersionKnowledge}
 */
export const NOTHING_KNOWN = {
  card: null,
  metadata: null,
  layers: [],
  topology: [],
  judged: null,
  judgedFailure: null,
  drift: null,
  history: null,
  alarms: [],
  compared: [],
  comparedHistories: null,
  channels: null,
  channelHistory: null,
  storedLayer: null,
  trainedLayer: null,
  live: null,
  rollout: null,
  jobs: [],
  references: [],
  trial: null,
  generated: null,
};

/** @type {State} */
let state = {
  ...NOTHING_KNOWN,
  model: null,
  tab: "now",
  version: null,
  layer: null,
  channel: null,
  window: "1h",
  range: "1h",
  period: null,
  marked: null,
  moment: null,
  measure: "drift",
  showsAllClasses: false,
  service: null,
  access: null,
  replicas: null,
  overview: null,
  busyCores: null,
  sort: { by: "state", isDescending: true },
  search: "",
  traffic: {},
  isConnected: null,
  isStreaming: null,
  visible: new Set(),
  widths: { heatmap: 0, channel: 0, history: 0 },
  demonstration: { noise: 0.5, sent: null },
  digits: null,
  unfolded: [],
  scrolled: {},
  openBlocks: [],
  showsAllModels: false,
  notice: null,
};

/** @type {Array<(state: State) => void>} */
const subscribers = [];
let isNotifying = false;

export const current = () => state;

/**
 * Replace some fields. Subscribers are notified once for all updates of a turn of the event loop.
 *
 * @param {Partial<State> | ((state: State) => Partial<State>)} change
 */
export function update(change) {
  state = { ...state, ...(typeof change === "function" ? change(state) : change) };
  if (isNotifying) return;
  isNotifying = true;
  queueMicrotask(() => {
    isNotifying = false;
    for (const notify of subscribers) notify(state);
  });
}

/** @param {(state: State) => void} notify */
export function subscribe(notify) {
  subscribers.push(notify);
}
