// @ts-check
/** Name and placement of the selected layer, and what stands there before it has seen rows. */

import { h } from "../dom.js";
import { compact } from "../format.js";
import { liveLayer, selectedLayer, shownTraffic } from "../selectors.js";
import { update } from "../state.js";
import { choice } from "./choice.js";
import { imageCommand, tensorCommand } from "./command.js";
import { PLACEMENTS } from "./graph.js";
import { heatmap, MEASURES } from "./heatmap.js";
import { training } from "./training.js";

/** @import { Layer, Shown } from "../types" */

const MEASURE_NAMES = { drift: MEASURES.drift.name, mean: MEASURES.mean.name, spread: MEASURES.spread.name };

/** @type {Record<Layer["kind"], string>} */
const KINDS = {
  batch_norm: "batch normalisation",
  layer_norm: "layer normalisation",
  rms_norm: "RMS normalisation",
  group_norm: "group normalisation",
  instance_norm: "instance normalisation",
  activation: "activation",
  image: "pixels of the input",
  margin: "how sure the network is",
};

/** @param {Shown} state */
export function layerTitle(state) {
  const layer = selectedLayer(state);
  if (layer === null) return null;
  return [
    h("h3", null, layer.name),
    h("p", { class: "muted" }, `${KINDS[layer.kind]}, ${compact(layer.num_features)} channels, ${placement(layer)}`),
    layer.unwatched && h("p", null, `Not observed: ${layer.unwatched}.`),
    liveLayer(state) &&
      choice("measure", "Colour the channels by", MEASURE_NAMES, state.measure, (measure) => update({ measure })),
  ];
}

/** @param {Layer} layer */
function placement({ kind: layer, placement: { kind, into, reason, proven } }) {
  if (layer === "image" || layer === "margin") return reason;
  if (kind === "kept") return `not folded, ${proven ? "neither side can take it" : "no fold known"}: ${reason}`;
  return `${PLACEMENTS[kind]} into ${into.join(", ")}`;
}

/** @param {Shown} state */
export function layer(state) {
  if (selectedLayer(state) === null || state.channels?.layer !== state.layer) return null;
  const live = liveLayer(state);
  return [live === null ? unobserved(state) : heatmap(state, live), training(state)];
}

/** @param {Shown} state */
function unobserved(state) {
  const { live, card, metadata, model } = state;
  if (live !== null && live.observed.batches + live.observed.dropped_batches === 0) {
    const requests = shownTraffic(state).at(-1)?.requests ?? 0;
    if (requests > 5) {
      const reason = "it has no observed graph, or observation is switched off";
      return h("p", { class: "muted" }, `This version is not observed: ${reason}.`);
    }
  }
  return [
    h("p", null, "Send some traffic, and the layers fill with what they see:"),
    card.preprocessing ? imageCommand(model) : tensorCommand(model, metadata),
  ];
}
