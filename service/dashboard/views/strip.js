// @ts-check
/** The layers of a network, from the input to the output, coloured by drift. */

import { h } from "../dom.js";
import { number } from "../format.js";
import { select } from "../navigation.js";
import { driftEdges, hasTooFewRows, step } from "../scale.js";

/** @import { Layer, LayerDrift, Shown } from "../types" */

const NARROWEST = 118;

/** @type {Record<Layer["placement"]["kind"], string>} */
export const PLACEMENTS = {
  folded_back: "folded back",
  folded_forward: "folded forward",
  kept: "kept as a layer",
};

/** In rows of much the same length. Layers are tabs: the arrow keys go from one to the next. @param {Shown} state */
export function strip(state) {
  const { layers, widths } = state;
  if (layers.length === 0) return h("p", { class: "muted" }, "This version has no layers that are observed.");
  const lines = Math.ceil(layers.length / Math.max(2, Math.floor(widths.strip / NARROWEST)));
  return [
    h("span", { class: "end", "aria-hidden": "true" }, "input"),
    h(
      "div",
      {
        class: "layers",
        role: "tablist",
        "aria-label": "Layers, from the input to the output",
        style: { "--columns": String(Math.ceil(layers.length / lines)) },
      },
      layers.map((_, at) => tab(state, at)),
    ),
    h("span", { class: "end", "aria-hidden": "true" }, "output"),
  ];
}

/** @param {Shown} state @param {number} at */
function tab({ layers, layer: selected, drift }, at) {
  const layer = layers[at];
  const found = drift?.layers.find((one) => one.name === layer.name) ?? null;
  return h(
    "button",
    {
      key: layer.name,
      id: `layer-${at}`,
      type: "button",
      role: "tab",
      class: "layer",
      "aria-selected": layer.name === selected ? "true" : "false",
      "aria-controls": "layer",
      "data-step":
        drift === null || found === null || hasTooFewRows(drift)
          ? "none"
          : step(found.symmetric_kl, driftEdges(drift.large_symmetric_kl)),
      tabindex: layer.name === selected ? 0 : -1,
      title: layer.name,
      onclick: () => select({ layer: layer.name, channel: null }),
      onkeydown: (/** @type {KeyboardEvent} */ event) => move(event, layers, at),
    },
    h(
      "span",
      { class: "size" },
      number(found?.symmetric_kl),
      found?.significant && h("span", { class: "flag", "aria-hidden": "true" }, "\u25b2"),
    ),
    h("span", { class: "name" }, breakable(layer.name)),
    h("span", { class: "channels" }, `${layer.num_features} ch`),
    h("span", { class: "visually-hidden" }, rest(layer, found)),
  );
}

/** What is seen by colour and place alone. @param {Layer} layer @param {LayerDrift | null} drift */
const rest = ({ placement }, drift) => `, ${drift?.significant ? "significant, " : ""}${PLACEMENTS[placement.kind]}`;

/** @param {KeyboardEvent} event @param {Layer[]} layers @param {number} at */
function move(event, layers, at) {
  const last = layers.length - 1;
  const targets = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: last };
  if (!(event.key in targets) || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  const to = Math.min(Math.max(targets[/** @type {keyof typeof targets} */ (event.key)], 0), last);
  select({ layer: layers[to].name, channel: null });
  document.getElementById(`layer-${to}`)?.focus();
}

/** A name that may be broken after its dots. @param {string} name */
const breakable = (name) => name.split(/(?<=\.)/).map((part, at) => [at > 0 && h("wbr"), part]);
