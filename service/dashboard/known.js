/** What is chosen, what is known of it, and how that is asked for. */

import { readAddress } from "./address.js";
import { get, pathOf, send } from "./api.js";
import { mostDrifted } from "./network.js";

const KEPT_SAMPLES = 90;
const TOLD_MS = 4000;

/** What is chosen; the address says the same, so that it can be shared and gone back to. */
export const chosen = {
  model: null,
  version: null,
  layer: null,
  channel: null,
  window: "1h",
  measure: "drift",
  allClasses: false,
};

/** What is known. `of` says of which choice, since answers come late. */
export const known = {
  service: null,
  index: [],
  verdicts: new Map(),
  samples: new Map(),
  of: null,
  card: null,
  metadata: null,
  layers: [],
  live: null,
  drift: null,
  trouble: null,
  history: null,
  rollout: null,
  drifts: new Map(),
  jobs: [],
  channels: null,
  remembered: null,
  trial: null,
  connected: null,
};

export const key = () => `${chosen.model}/${chosen.version ?? ""}`;

/** Let go of all that is known of the version that was chosen. */
export function forget() {
  if (known.trial) URL.revokeObjectURL(known.trial.address);
  Object.assign(known, { of: null, card: null, metadata: null, layers: [], live: null, drift: null, trouble: null });
  Object.assign(known, { history: null, channels: null, remembered: null, trial: null, rollout: null, jobs: [] });
  known.drifts.clear();
}

/** The models of the repository. */
export const names = () => [...new Set(known.index.map((entry) => entry.name))];

/** Whether a version of a model answers, or any of it where none is named. */
export function loaded(name, version = null) {
  return known.index.some(
    (one) => one.name === name && one.state === "READY" && (version === null || one.version === version),
  );
}

/** Ask, and where the service has nothing of the kind to say, take null for an answer. */
async function attempt(path) {
  try {
    return await get(path);
  } catch (failure) {
    if (failure.status === 0) throw failure;
    return null;
  }
}

/** Ask for everything. */
export async function ask() {
  known.service ??= await get("v2");
  known.index = await send("POST", "v2/repository/index");
  if (chosen.model === null) Object.assign(chosen, readAddress());
  if (chosen.model === null) chosen.model = names()[0] ?? null;
  if (chosen.model === null) return;
  const wanted = key();
  const path = pathOf(chosen.model, chosen.version);
  if (!loaded(chosen.model, chosen.version)) {
    Object.assign(known, { of: null, card: null });
    await Promise.all([askStatistics(), askVerdicts()]);
    return;
  }
  if (known.of !== wanted) {
    const [card, metadata, layers] = await Promise.all([
      attempt(`${path}/card`),
      attempt(path),
      attempt(`${path}/layers`),
    ]);
    if (key() !== wanted) return;
    Object.assign(known, { card, metadata, layers: layers?.layers ?? [], of: card ? wanted : null, remembered: null });
  }
  await Promise.all([askStatistics(), askVerdicts(), askVersion(path, wanted), askRollout(wanted)]);
  await askLayer(path, wanted);
}

/** Traffic is told every second. Where nobody tells it, the counters say what happened between two readings. */
async function askStatistics() {
  if (performance.now() - toldAt < TOLD_MS) return;
  const { model_stats: found } = await get("v2/models/stats");
  const at = performance.now();
  for (const { name, version, inference_stats: stats, inference_count: rows } of found) {
    const { success, fail } = stats;
    const requests = success.count + fail.count;
    const before = known.samples.get(`${name}/${version}`)?.at(-1);
    const seconds = before ? (at - before.at) / 1000 : Infinity;
    keepSample(name, version, {
      at,
      requests,
      rows,
      rate: before ? (requests - before.requests) / seconds : 0,
      rowRate: before ? (rows - before.rows) / seconds : 0,
      median: null,
      most: null,
    });
  }
}

let toldAt = -Infinity;

/** Take in the traffic of a second, as the service tells it. */
export function hear({ models }) {
  toldAt = performance.now();
  for (const one of models) {
    keepSample(one.model, one.version, {
      at: toldAt,
      requests: one.requests,
      rows: one.rows,
      rate: one.requests_per_second,
      rowRate: one.rows_per_second,
      median: one.p50_ms,
      most: one.p99_ms,
    });
  }
}

function keepSample(name, version, sample) {
  const samples = known.samples.get(`${name}/${version}`) ?? [];
  known.samples.set(`${name}/${version}`, [...samples, sample].slice(-KEPT_SAMPLES));
}

async function askVerdicts() {
  const others = names().filter((name) => loaded(name) && (name !== chosen.model || chosen.version !== null));
  for (const name of names()) if (!loaded(name)) known.verdicts.delete(name);
  const found = await Promise.all(others.map((name) => attempt(`${pathOf(name)}/drift?window=${chosen.window}`)));
  for (const [at, name] of others.entries()) known.verdicts.set(name, found[at]);
}

async function askVersion(path, wanted) {
  if (!known.card) return;
  const span = chosen.window === "start" ? "1d" : chosen.window;
  const drift = get(`${path}/drift?window=${chosen.window}`).catch((failure) => failure);
  const [found, live, past] = await Promise.all([
    drift,
    attempt(`${path}/live?window=${chosen.window}`),
    attempt(`${path}/drift/history?window=${span}`),
  ]);
  if (key() !== wanted) return;
  const failed = found instanceof Error;
  if (failed && found.status === 0) throw found;
  known.drift = failed ? null : found;
  known.trouble = failed ? found.message : null;
  known.live = live;
  known.history = past?.points ?? null;
  if (chosen.version === null) known.verdicts.set(chosen.model, known.drift);
}

/** What has been decided about the model, its re-calibrations, and how its other loaded versions drift. */
async function askRollout(wanted) {
  const path = pathOf(chosen.model);
  const [rollout, jobs] = await Promise.all([attempt(`${path}/rollout`), attempt(`${path}/recalibrations`)]);
  if (key() !== wanted) return;
  Object.assign(known, { rollout, jobs: jobs?.recalibrations ?? [] });
  const isOther = rollout && known.card && rollout.default !== String(known.card.version);
  if (chosen.version === null && isOther) known.of = null; // another one is the default now: ask what it is
  const others = (rollout?.versions ?? []).filter((one) => one.loaded && one.version !== String(known.card?.version));
  const versions = others.map((one) => one.version);
  const found = await Promise.all(
    versions.map((version) => attempt(`${pathOf(chosen.model, version)}/drift?window=${chosen.window}`)),
  );
  if (key() === wanted) known.drifts = new Map(versions.map((version, at) => [version, found[at]]));
}

async function askLayer(path, wanted) {
  if (!known.layers.length) return;
  if (!known.layers.some((layer) => layer.name === chosen.layer)) {
    Object.assign(chosen, { layer: mostDriftedLayer(known.live?.layers) ?? known.layers[0].name, channel: null });
  }
  const name = chosen.layer;
  const layer = `${path}/layers/${encodeURIComponent(name)}`;
  const stored = known.remembered?.name === name && known.remembered;
  const [channels, remembered] = await Promise.all([
    attempt(`${layer}/live?window=${chosen.window}`),
    stored || attempt(layer),
  ]);
  if (key() !== wanted || chosen.layer !== name) return;
  Object.assign(known, { channels, remembered });
  const last = (remembered?.num_features ?? 1) - 1;
  if (chosen.channel !== null) chosen.channel = Math.min(chosen.channel, last);
  else if (channels?.rows > 0) chosen.channel = mostDrifted(channels);
}

function mostDriftedLayer(layers) {
  const sized = (layers ?? []).filter((layer) => layer.symmetric_kl > 0);
  return sized.sort((a, b) => b.symmetric_kl - a.symmetric_kl)[0]?.name ?? null;
}
