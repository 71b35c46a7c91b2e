// @ts-check
/** The layers of a network, from the input to the output, coloured by drift. */

import { blocksOf, MOST_LAYERS } from "../blocks.js";
import { h } from "../dom.js";
import { count, number } from "../format.js";
import { select } from "../navigation.js";
import { driftEdges, hasTooFewRows, step } from "../scale.js";
import { update } from "../state.js";

/** @import { Block } from "../blocks.js" */
/** @import { Layer, LayerDrift, Shown } from "../types" */

const NARROWEST = 118;

/** @type {Record<Layer["placement"]["kind"], string>} */
export const PLACEMENTS = {
  folded_back: "folded back",
  folded_forward: "folded forward",
  kept: "kept as a layer",
};

/** Layers are tabs: the arrow keys go from one to the next. @param {Shown} state */
export function strip(state) {
  const { layers } = state;
  if (layers.length === 0) return h("p", { class: "muted" }, "This version has no layers that are observed.");
  if (layers.length > MOST_LAYERS) return blocksOf(layers).map((one) => block(state, one));
  return h(
    "div",
    { class: "line" },
    h("span", { class: "end", "aria-hidden": "true" }, "input"),
    line(state, layers, "Layers, from the input to the output"),
    h("span", { class: "end", "aria-hidden": "true" }, "output"),
  );
}

/** Layers in rows of much the same length. @param {Shown} state @param {Layer[]} shown @param {string} label */
function line(state, shown, label) {
  const rows = Math.ceil(shown.length / Math.max(2, Math.floor(state.widths.strip / NARROWEST)));
  const first = state.layers.indexOf(shown[0]);
  return h(
    "div",
    {
      class: "layers",
      role: "tablist",
      "aria-label": label,
      style: { "--columns": String(Math.ceil(shown.length / rows)) },
    },
    shown.map((_, at) => tab(state, first + at)),
  );
}

/** A summary of some layers, which unfolds. @param {Shown} state @param {Block} block */
function block(state, { name, layers }) {
  const { drift, layer: selected, openBlocks } = state;
  const found = layers.flatMap((one) => drift?.layers.find((other) => other.name === one.name) ?? []);
  const isOpen = openBlocks.includes(name) || layers.some((one) => one.name === selected);
  const most = Math.max(0, ...found.map((one) => one.symmetric_kl));
  const changed = found.filter((one) => one.significant).length;
  const toggle = () =>
    update({ openBlocks: isOpen ? openBlocks.filter((other) => other !== name) : [...openBlocks, name] });
  return h(
    "div",
    { key: name, class: "block" },
    h(
      "button",
      { type: "button", class: "summary", "aria-expanded": isOpen ? "true" : "false", onclick: toggle },
      h(
        "span",
        { class: "swatch", "data-step": stepOf(state, found.length > 0 ? most : null) },
        changed > 0 && "\u25b2",
      ),
      h("strong", null, name),
      h(
        "span",
        { class: "muted" },
        `${count(layers.length)} ${layers.length === 1 ? "layer" : "layers"}`,
        found.length > 0 && `, ${count(changed)} changed, at most ${number(most)}`,
      ),
    ),
    isOpen && line(state, layers, `Layers of ${name}`),
  );
}

/** @param {Shown} state @param {number | null} size */
const stepOf = ({ drift }, size) =>
  drift === null || size === null || hasTooFewRows(drift) ? "none" : step(size, driftEdges(drift.large_symmetric_kl));

/** @param {Shown} state @param {number} at */
function tab(state, at) {
  const { layers, layer: selected, drift } = state;
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
      "data-step": stepOf(state, found?.symmetric_kl ?? null),
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
  queueMicrotask(() => document.getElementById(`layer-${to}`)?.focus()); // its block may have been folded
}

/** A name that may be broken after its dots. @param {string} name */
const breakable = (name) => name.split(/(?<=\.)/).map((part, at) => [at > 0 && h("wbr"), part]);
