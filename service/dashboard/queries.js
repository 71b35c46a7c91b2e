// @ts-check
/** What the page asks the service: where, how often, and what the answers change. */

import { pathOf, send } from "./api.js";
import { defaultVersion, isActive, isVisible, selectedLayer, shownPath } from "./selectors.js";
import { ingestCounters } from "./traffic.js";

/**
 * @import {
 *   Drift, History, IndexedVersion, Job, JobList, Layer, LiveLayer, LiveModel, LoadedVersion, ModelCard,
 *   ModelMetadata, Query, Rollout, ServerMetadata, State, StatisticsList, StoredLayer
 * } from "./types"
 */

const FAST_MS = 2000;
const SLOW_MS = 10_000;

/** For what does not change. */
const once = () => Infinity;
const slowly = () => SLOW_MS;

/** Often while the version answers requests; without traffic only the windows of time move on. @param {State} state */
const paced = (state) => (isActive(state) ? FAST_MS : SLOW_MS);

/**
 * @template Answer
 * @param {Omit<Query<Answer>, "fail"> & Partial<Query<Answer>>} written by default, an error response changes nothing
 * @returns {Query<Answer>}
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
const service = query({ name: "service", path: () => "v2", every: once, receive: (service) => ({ service }) });

/** @type {Query<IndexedVersion[]>} */
const index = query({
  name: "index",
  path: () => "v2/repository/index",
  every: slowly,
  request: (path) => send("POST", path),
  receive: (index, state) => ({ index, model: state.model ?? index[0]?.name ?? null }),
});

/** @type {Query<{ versions: LoadedVersion[] }>} */
const loaded = query({
  name: "loaded",
  path: (state) => `v2/drift?window=${state.window}`,
  every: slowly,
  receive: ({ versions }) => ({ loaded: versions }),
});

/** The counters of all versions while no events arrive: they set the pace of the others. @type {Query<StatisticsList>} */
const counters = query({
  name: "counters",
  path: (state) => (state.isStreaming === false ? "v2/models/stats" : null),
  every: () => FAST_MS,
  receive: (counters, state) => ingestCounters(state, counters, performance.now()),
});

/** @type {Query<ModelCard>} */
const card = query({
  name: "card",
  path: (state) => below(state, "/card"),
  every: once,
  receive: (card) => ({ card }),
  fail: () => ({ card: null }),
});

/** @type {Query<ModelMetadata>} */
const metadata = query({
  name: "metadata",
  path: shownPath,
  every: once,
  receive: (metadata) => ({ metadata }),
});

/** @type {Query<{ layers: Layer[] }>} */
const layers = query({
  name: "layers",
  path: (state) => below(state, "/layers"),
  every: once,
  receive: ({ layers }, state) => ({ layers, ...selectLayer({ ...state, layers }) }),
});

/** @type {Query<Drift>} */
const drift = query({
  name: "drift",
  path: (state) => below(state, `/drift?window=${state.window}`),
  sections: ["verdict", "network", "predicted"],
  every: paced,
  receive: (drift, state) => ({ drift, driftFailure: null, ...selectLayer({ ...state, drift }) }),
  fail: (message) => ({ drift: null, driftFailure: message }),
});

/** @type {Query<History>} */
const history = query({
  name: "history",
  path: (state) => below(state, `/drift/history?window=${state.window === "start" ? "1d" : state.window}`),
  sections: ["history"],
  every: paced,
  receive: ({ points }) => ({ history: points }),
});

/** @type {Query<LiveLayer>} */
const channels = query({
  name: "channels",
  path: (state) => belowLayer(state, `/live?window=${state.window}`),
  sections: ["network"],
  every: paced,
  receive: (channels, state) => ({ channels, channel: state.channel ?? mostDriftedChannel(channels) }),
  fail: () => ({ channels: null }),
});

/** @type {Query<StoredLayer>} */
const storedLayer = query({
  name: "storedLayer",
  path: (state) => belowLayer(state, ""),
  sections: ["network"],
  every: once,
  receive: (storedLayer, { channel }) => ({
    storedLayer,
    channel: channel === null ? null : Math.min(channel, storedLayer.num_features - 1),
  }),
});

/** What observing costs, where the layer has seen nothing: it tells whether the version is observed at all. */
/** @type {Query<LiveModel>} */
const live = query({
  name: "live",
  path: (state) => (state.channels?.rows === 0 ? below(state, `/live?window=${state.window}`) : null),
  sections: ["network"],
  every: slowly,
  receive: (live) => ({ live }),
});

/** @type {Query<Rollout>} */
const rollout = query({
  name: "rollout",
  path: (state) => belowModel(state, "/rollout"),
  sections: ["traffic", "versions"],
  every: (state) => (isVisible(state, "versions") ? paced(state) : SLOW_MS),
  receive: (rollout) => ({ rollout }),
  outdates: (rollout, state) => (rollout.default === defaultVersion(state, state.model)?.version ? [] : [loaded.name]),
});

/** @type {Query<JobList>} */
const jobs = query({
  name: "jobs",
  path: (state) => belowModel(state, "/recalibrations"),
  sections: ["recalibration"],
  every: ({ jobs }) => (jobs.every((job) => job.is_finished) ? SLOW_MS : FAST_MS),
  receive: ({ recalibrations }) => ({ jobs: recalibrations }),
  outdates: ({ recalibrations }, state) =>
    recalibrations.some((job) => job.published !== null && state.jobs.some(isUnpublished(job.id)))
      ? [index, loaded, rollout].map(({ name }) => name)
      : [],
});

/** @param {string} id @returns {(job: Job) => boolean} */
const isUnpublished = (id) => (job) => job.id === id && job.published === null;

export const QUERIES = [
  service,
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
];

/** What an alarm that begins or ends makes out of date. */
export const DRIFT_QUERIES = [loaded, drift, history, channels].map(({ name }) => name);

/** What has to be known of a version that was not selected before. */
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

/** @param {LiveLayer} layer @returns {number | null} */
function mostDriftedChannel({ channels }) {
  if (channels === null) return null;
  return channels.symmetric_kl.indexOf(Math.max(...channels.symmetric_kl));
}
