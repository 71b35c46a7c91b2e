// @ts-check
/** Requests that keep the page up to date: where they go, how often, and what the responses change. */

import { pathOf, send } from "./api.js";
import { defaultVersion, isActive, isVisible, selectedLayer, shownPath } from "./selectors.js";
import { ingestCounters } from "./traffic.js";

/**
 * @import {
 *   Drift, History, IndexedVersion, Job, JobList, Layer, LiveLayer, LiveModel, LoadedVersion, ModelCard, ReferenceList,
 *   ModelMetadata, Query, ReplicaList, Rollout, ServerMetadata, State, StatisticsList, StoredLayer
 * } from "./types"
 */

const FAST_MS = 2000;
const SLOW_MS = 10_000;

/** For responses that do not change. */
const once = () => Infinity;
const slowly = () => SLOW_MS;

/** Often while the version has traffic; without, only the windows of time move on. @param {State} state */
const paced = (state) => (isActive(state) ? FAST_MS : SLOW_MS);

/**
 * @template Body
 * @param {Omit<Query<Body>, "fail"> & Partial<Query<Body>>} written by default, an error response changes nothing
 * @returns {Query<Body>}
 */
const query = (written) => ({ fail: () => ({}), ...written });

/** Path below that of the version that is shown. @param {State} state @param {string} rest */
function below(state, rest) {
  const path = shownPath(state);
  return path === null ? null : `${path}${rest}`;
}

/** Path below that of the layer that is selected. @param {State} state @param {string} rest */
function belowLayer(state, rest) {
  const layer = selectedLayer(state);
  return layer === null ? null : below(state, `/layers/${encodeURIComponent(layer.name)}${rest}`);
}

/** Path below that of the model. @param {State} state @param {string} rest */
function belowModel(state, rest) {
  return state.model === null || shownPath(state) === null ? null : `${pathOf(state.model)}${rest}`;
}

/** @type {Query<ServerMetadata>} */
const service = query({ name: "service", path: () => "v2", interval: once, receive: (service) => ({ service }) });

/** A service of one process has no others. @type {Query<ReplicaList>} */
const replicas = query({
  name: "replicas",
  path: () => "v2/replicas",
  interval: ({ replicas }) => (replicas?.store.name === "memory" ? Infinity : SLOW_MS),
  receive: (replicas) => ({ replicas }),
});

/** @type {Query<IndexedVersion[]>} */
const index = query({
  name: "index",
  path: () => "v2/repository/index",
  interval: slowly,
  send: (path) => send("POST", path),
  receive: (index, state) => ({ index, model: state.model ?? index[0]?.name ?? null }),
});

/** @type {Query<{ versions: LoadedVersion[] }>} */
const loaded = query({
  name: "loaded",
  path: (state) => `v2/drift?window=${state.window}`,
  interval: slowly,
  receive: ({ versions }) => ({ loaded: versions }),
});

/** The counters of all versions while no events arrive: they set the pace of the others. @type {Query<StatisticsList>} */
const counters = query({
  name: "counters",
  path: (state) => (state.isStreaming === false ? "v2/models/stats" : null),
  interval: () => FAST_MS,
  receive: (counters, state) => ingestCounters(state, counters, performance.now()),
});

/** @type {Query<ModelCard>} */
const card = query({
  name: "card",
  path: (state) => below(state, "/card"),
  interval: once,
  receive: (card) => ({ card }),
  fail: () => ({ card: null }),
});

/** @type {Query<ModelMetadata>} */
const metadata = query({
  name: "metadata",
  path: shownPath,
  interval: once,
  receive: (metadata) => ({ metadata }),
});

/** @type {Query<{ layers: Layer[] }>} */
const layers = query({
  name: "layers",
  path: (state) => below(state, "/layers"),
  interval: once,
  receive: ({ layers }, state) => ({ layers, ...selectLayer({ ...state, layers }) }),
});

/** @type {Query<Drift>} */
const drift = query({
  name: "drift",
  path: (state) => below(state, `/drift?window=${state.window}`),
  sections: ["verdict", "network", "predicted"],
  interval: paced,
  receive: (drift, state) => ({ drift, driftFailure: null, ...selectLayer({ ...state, drift }) }),
  fail: (message) => ({ drift: null, driftFailure: message }),
});

/** @type {Query<History>} */
const history = query({
  name: "history",
  path: (state) => below(state, `/drift/history?window=${state.window === "start" ? "1d" : state.window}`),
  sections: ["history"],
  interval: paced,
  receive: ({ points }) => ({ history: points }),
});

/** @type {Query<LiveLayer>} */
const channels = query({
  name: "channels",
  path: (state) => belowLayer(state, `/live?window=${state.window}`),
  sections: ["network"],
  interval: paced,
  receive: (channels, state) => ({ channels, channel: selectChannel(state.channel, channels) }),
  fail: () => ({ channels: null }),
});

/** @type {Query<StoredLayer>} */
const storedLayer = query({
  name: "storedLayer",
  path: (state) => belowLayer(state, ""),
  sections: ["network"],
  interval: once,
  receive: (storedLayer) => ({ storedLayer }),
});

/** Requested while the layer has seen no rows: it tells whether the version is observed. @type {Query<LiveModel>} */
const live = query({
  name: "live",
  path: (state) => (state.channels?.rows === 0 ? below(state, `/live?window=${state.window}`) : null),
  sections: ["network"],
  interval: slowly,
  receive: (live) => ({ live }),
});

/** @type {Query<Rollout>} */
const rollout = query({
  name: "rollout",
  path: (state) => belowModel(state, "/rollout"),
  sections: ["traffic", "versions"],
  interval: (state) => (isVisible(state, "versions") ? paced(state) : SLOW_MS),
  receive: (rollout) => ({ rollout }),
  invalidates: (rollout, state) =>
    rollout.default === defaultVersion(state, state.model)?.version ? [] : [loaded.name],
});

/** @type {Query<JobList>} */
const jobs = query({
  name: "jobs",
  path: (state) => belowModel(state, "/recalibrations"),
  sections: ["recalibration"],
  interval: ({ jobs }) => (jobs.every((job) => job.is_finished) ? SLOW_MS : FAST_MS),
  receive: ({ recalibrations }) => ({ jobs: recalibrations }),
  invalidates: ({ recalibrations }, state) =>
    recalibrations.some((job) => job.published !== null && state.jobs.some(isUnpublished(job.id)))
      ? [index, loaded, rollout].map(({ name }) => name)
      : [],
});

/** @type {Query<ReferenceList>} */
const references = query({
  name: "references",
  path: (state) => belowModel(state, "/reference"),
  sections: ["recalibration"],
  interval: ({ references }) => (references.every((job) => job.is_finished) ? SLOW_MS : FAST_MS),
  receive: ({ references }) => ({ references }),
  invalidates: ({ references }, state) =>
    references.some((job) => job.published !== null && state.references.some(isUnpublished(job.id)))
      ? [index, loaded, rollout].map(({ name }) => name)
      : [],
});

/** @param {string} id @returns {(job: Job) => boolean} */
const isUnpublished = (id) => (job) => job.id === id && job.published === null;

export const QUERIES = [
  service,
  replicas,
  index,
  loaded,
  counters,
  card,
  metadata,
  layers,
  drift,
  history,
  channels,
  storedLayer,
  live,
  rollout,
  jobs,
  references,
];

/** Out of date when an alarm begins or ends. */
export const DRIFT_QUERIES = [loaded, drift, history, channels].map(({ name }) => name);

/** Out of date when another version is selected: it may have been published or loaded since. */
export const REPOSITORY_QUERIES = [index, loaded].map(({ name }) => name);

/**
 * The layer that has drifted most, unless one is selected. It stays selected, so that what is looked at does not jump.
 *
 * @param {State} state
 * @returns {Partial<State>}
 */
function selectLayer(state) {
  const { layers, drift, driftFailure } = state;
  if (selectedLayer(state) !== null || layers.length === 0 || (drift === null && driftFailure === null)) return {};
  const [first] = (drift?.layers ?? []).toSorted((a, b) => b.symmetric_kl - a.symmetric_kl);
  return { layer: first?.name ?? layers[0].name, channel: null };
}

/**
 * The channel that has drifted most, unless one is selected.
 *
 * @param {number | null} channel
 * @param {LiveLayer} layer
 */
function selectChannel(channel, { channels }) {
  if (channels === null) return channel;
  return channel ?? channels.symmetric_kl.indexOf(Math.max(...channels.symmetric_kl));
}
