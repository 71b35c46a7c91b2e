// @ts-check
/** Requests that keep the page up to date: where they go, how often, and what the responses change. */

import { get, pathOf, send } from "./api.js";
import { loadDigits, takesDigits } from "./demonstration.js";
import { below, belowLayer, belowModel, FAST_MS, once, onTab, paced, query, SLOW_MS, slowly } from "./query.js";
import { shownPeriod } from "./ranges.js";
import { defaultVersion, isVisible, liveLayer, selectedChannel, selectedLayer, shownPath } from "./selectors.js";
import { inOrder } from "./topology.js";
import { ingestCounters } from "./traffic.js";

/**
 * @import {
 *   ChannelHistory, Drift, History, Job, JobList, LayerList, LiveLayer, LiveModel, ModelCard, ReferenceList, ModelMetadata,
 *   Overview, Permissions, Query, ReplicaList, Rollout, ServerMetadata, State, StatisticsList, StoredLayer, TrainedLayer
 * } from "./types"
 */

/** @type {Query<ServerMetadata>} */
const service = query({ name: "service", path: () => "v2", interval: once, receive: (service) => ({ service }) });

/** What the token that the page has permits. @type {Query<Permissions>} */
export const access = query({
  name: "access",
  path: () => "v2/access",
  interval: once,
  send: (path) => send("GET", path), // with the token
  receive: (access) => ({ access }),
});

/** A service of one process has no others. @type {Query<ReplicaList>} */
const replicas = query({
  name: "replicas",
  path: () => "v2/replicas",
  interval: ({ replicas }) => (replicas?.store.name === "memory" ? Infinity : SLOW_MS),
  receive: (replicas) => ({ replicas }),
});

/** @type {Query<Overview>} */
const overview = query({
  name: "overview",
  path: () => "v2/overview",
  interval: slowly,
  receive: (overview, { overview: before }) => ({ overview, busyCores: before && busyCores(before, overview) }),
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

/** @type {Query<LayerList>} */
const layers = query({
  name: "layers",
  path: (state) => below(state, "/layers"),
  interval: once,
  receive: ({ layers: found, topology }, state) => {
    const layers = inOrder(found, topology);
    return { layers, topology, ...selectLayer({ ...state, layers }) };
  },
});

/** @type {Query<Drift>} */
const judged = query({
  name: "judged",
  path: (state) => below(state, "/drift?window=last"),
  sections: ["verdict", "trial"],
  interval: paced,
  receive: (judged) => ({ judged, judgedFailure: null }),
  fail: (message) => ({ judged: null, judgedFailure: message }),
});

/** @type {Query<Drift>} */
const drift = query({
  name: "drift",
  path: (state) => onTab(state, "layers", below(state, `/drift?window=${state.window}`)),
  sections: ["network"],
  interval: paced,
  receive: (drift, state) => ({ drift, ...selectLayer({ ...state, drift }) }),
  fail: () => ({ drift: null }),
});

/** @param {State} state */
const historyWindow = (state) => shownPeriod(state, Date.now()).window;

/** One request for each. @type {Query<History[]>} */
const comparedHistories = query({
  name: "comparedHistories",
  path: (state) =>
    onTab(
      state,
      "history",
      state.compared.length === 0
        ? null
        : state.compared
            .map(({ model, version }) => `${pathOf(model, version)}/drift/history?window=${historyWindow(state)}`)
            .join(" "),
    ),
  sections: ["history"],
  interval: slowly,
  send: (paths) => Promise.all(paths.split(" ").map(get)),
  receive: (comparedHistories) => ({ comparedHistories }),
});

/** @type {Query<History>} */
const history = query({
  name: "history",
  path: (state) => onTab(state, "history", below(state, `/drift/history?window=${historyWindow(state)}`)),
  sections: ["history"],
  interval: paced,
  receive: ({ points, alarms }) => ({ history: points, alarms }),
});

/** @type {Query<LiveLayer>} */
const channels = query({
  name: "channels",
  path: (state) => onTab(state, "layers", belowLayer(state, `/live?window=${state.window}`)),
  sections: ["network"],
  interval: paced,
  receive: (channels, state) => ({ channels, channel: selectChannel(state.channel, channels) }),
  fail: () => ({ channels: null }),
});

/** The selected channel, or the one that is shown where none is selected. @type {Query<ChannelHistory>} */
const channelHistory = query({
  name: "channelHistory",
  path: (state) => {
    const window = state.window === "start" ? "30d" : state.window;
    const path = liveLayer(state) && belowLayer(state, `/history?channel=${selectedChannel(state)}&window=${window}`);
    return onTab(state, "layers", path);
  },
  sections: ["network"],
  interval: paced,
  receive: (channelHistory) => ({ channelHistory }),
  fail: () => ({ channelHistory: null }),
});

/** @type {Query<StoredLayer>} */
const storedLayer = query({
  name: "storedLayer",
  path: (state) => onTab(state, "layers", belowLayer(state, "")),
  sections: ["network"],
  interval: once,
  receive: (storedLayer) => ({ storedLayer }),
});

/** @type {Query<TrainedLayer>} */
const trainedLayer = query({
  name: "trainedLayer",
  path: (state) => onTab(state, "layers", belowLayer(state, "/training")),
  sections: ["network"],
  interval: once,
  receive: (trainedLayer) => ({ trainedLayer }),
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
  sections: ["verdict", "versions"],
  interval: (state) => (isVisible(state, "versions") ? paced(state) : SLOW_MS),
  receive: (rollout) => ({ rollout }),
  invalidates: (rollout, state) =>
    rollout.default === defaultVersion(state, state.model)?.version ? [] : [overview.name],
});

/** @type {Query<JobList>} */
const jobs = query({
  name: "jobs",
  path: (state) => belowModel(state, "/recalibrations"),
  sections: ["verdict", "recalibration"],
  interval: ({ jobs }) => (jobs.every((job) => job.is_finished) ? SLOW_MS : FAST_MS),
  receive: ({ recalibrations }) => ({ jobs: recalibrations }),
  invalidates: ({ recalibrations }, state) =>
    recalibrations.some((job) => job.published !== null && state.jobs.some(isUnpublished(job.id)))
      ? [overview, rollout].map(({ name }) => name)
      : [],
});

/** @type {Query<ReferenceList>} */
const references = query({
  name: "references",
  path: (state) => belowModel(state, "/reference"),
  sections: ["verdict", "recalibration"],
  interval: ({ references }) => (references.every((job) => job.is_finished) ? SLOW_MS : FAST_MS),
  receive: ({ references }) => ({ references }),
  invalidates: ({ references }, state) =>
    references.some((job) => job.published !== null && state.references.some(isUnpublished(job.id)))
      ? [overview, rollout].map(({ name }) => name)
      : [],
});

/** Cores that were busy on average between two responses. @param {Overview} before @param {Overview} after */
function busyCores(before, after) {
  const seconds = (Date.parse(after.time) - Date.parse(before.time)) / 1000;
  return seconds > 0 ? Math.max(after.health.cpu_seconds - before.health.cpu_seconds, 0) / seconds : null;
}

/** @type {Query<number[][]>} */
const digits = query({
  name: "digits",
  path: (state) => onTab(state, "try", state.card !== null && takesDigits(state.card) ? "docs/digits.png" : null),
  interval: once,
  send: loadDigits,
  receive: (digits) => ({ digits }),
});

/** @param {string} id @returns {(job: Job) => boolean} */
const isUnpublished = (id) => (job) => job.id === id && job.published === null;

/** The overview comes first: what is asked about a version waits for it. */
export const QUERIES = [
  overview,
  service,
  access,
  replicas,
  counters,
  card,
  metadata,
  layers,
  judged,
  drift,
  history,
  comparedHistories,
  channels,
  channelHistory,
  storedLayer,
  trainedLayer,
  live,
  rollout,
  jobs,
  references,
  digits,
];

/** Out of date when an alarm begins or ends. */
export const DRIFT_QUERIES = [overview, judged, drift, history, channels].map(({ name }) => name);

/** Out of date when another version is selected: it may have been published or loaded since. */
export const REPOSITORY_QUERIES = [overview].map(({ name }) => name);

/**
 * The layer that has drifted most, unless one is selected. It stays selected, so that what is looked at does not jump.
 *
 * @param {State} state
 * @returns {Partial<State>}
 */
function selectLayer(state) {
  const { layers, drift } = state;
  if (selectedLayer(state) !== null || layers.length === 0 || drift === null) return {};
  const [first] = drift.layers.toSorted((a, b) => b.symmetric_kl - a.symmetric_kl);
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
