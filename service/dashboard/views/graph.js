// @ts-check
/** The layers of a network as a graph, from the inputs to the outputs, coloured by drift. */

import { h } from "../dom.js";
import { count, number } from "../format.js";
import { select } from "../navigation.js";
import { driftEdges, hasTooFewRows, step } from "../scale.js";
import { update } from "../state.js";
import { rowsOf } from "../topology.js";
import { keep } from "./keep.js";
import { laneCount, rails } from "./rails.js";

/** @import { Block } from "../blocks.js" */
/** @import { PlacedRow } from "../topology.js" */
/** @import { Layer, LayerDrift, Shown, VirtualElement } from "../types" */

/** Smaller changes have no figures in the graph. */
const SMALLEST = 0.001;

/** @type {Record<Layer["placement"]["kind"], string>} */
export const PLACEMENTS = {
  folded_back: "folded back",
  folded_forward: "folded forward",
  kept: "kept as a layer",
};

/** Layers are tabs: the arrow keys go from one to the next. @param {Shown} state */
export function graph(state) {
  const { layers, topology, openBlocks, layer: selected } = state;
  if (layers.length === 0) return h("p", { class: "muted" }, "This version has no layers that are observed.");
  /** @param {Block} block */
  const isOpen = (block) => openBlocks.includes(block.name) || block.layers.some(({ name }) => name === selected);
  const rows = rowsOf(layers, topology, isOpen);
  const lanes = laneCount(rows);
  const chosen = rows.findIndex(({ layer }) => layer !== null && layer.name === selected);
  /** @param {number} at @param {VirtualElement} content */
  const row = (at, content) =>
    h(
      "div",
      { key: `${at} ${rows[at].kind} ${rows[at].name}`, class: `row ${rows[at].kind}` },
      rails(
        rows[at],
        lanes,
        colour(state, rows[at]),
        ({ source }) => source === chosen || (at <= chosen && rows[chosen].sources.includes(source)),
      ),
      content,
    );
  return [
    h(
      "div",
      { class: "graph" },
      runsOf(rows).map(({ block, isSummary, places }) => {
        if (block !== null && isSummary) return row(places[0], summary(state, block, isOpen(block)));
        const drawn = places.map((at) => row(at, node(state, rows, at)));
        if (places.every((at) => rows[at].layer === null)) return drawn;
        const label = block === null ? "Layers, from the input to the output" : `Layers of ${block.name}`;
        return h("div", { key: label, role: "tablist", "aria-label": label, "aria-orientation": "vertical" }, drawn);
      }),
    ),
    keep(`${state.model}-layers`, () => records(state), ".graph"),
  ];
}

/** Rows that follow each other inside of one block, or outside of all. @param {PlacedRow[]} rows */
function runsOf(rows) {
  /** @type {Array<{ block: Block | null, isSummary: boolean, places: number[] }>} */
  const runs = [];
  rows.forEach(({ kind, block }, at) => {
    const isSummary = kind === "block";
    const last = runs.at(-1);
    if (last && !isSummary && !last.isSummary && last.block === block) last.places.push(at);
    else runs.push({ block, isSummary, places: [at] });
  });
  return runs;
}

/** @param {Shown} state @param {PlacedRow[]} rows @param {number} at */
function node(state, rows, at) {
  const { layer } = rows[at];
  return layer === null ? h("span", { class: "node" }, nameOf(rows[at])) : tab(state, rows, at, layer);
}

/** @param {PlacedRow} row */
const nameOf = ({ kind, name }) =>
  kind === name || (kind !== "input" && kind !== "output") ? name : `${kind} ${name}`;

/** @param {Shown} state @param {PlacedRow} row */
function colour({ drift }, { kind, layer, block }) {
  if (layer !== null) return stepOf(drift, driftOf(drift, layer)?.symmetric_kl ?? null);
  return kind === "block" ? stepOf(drift, blockSize(drift, block)) : null;
}

/** @param {Shown} state @param {Block} block @param {boolean} isOpen */
function summary({ drift, openBlocks }, block, isOpen) {
  const { name, layers } = block;
  const changed = layers.filter((layer) => driftOf(drift, layer)?.significant).length;
  const most = blockSize(drift, block);
  const toggle = () =>
    update({ openBlocks: isOpen ? openBlocks.filter((other) => other !== name) : [...openBlocks, name] });
  return h(
    "button",
    { type: "button", class: "summary", "aria-expanded": isOpen ? "true" : "false", onclick: toggle },
    h("span", { class: "swatch", "data-step": stepOf(drift, most) }, changed > 0 && "\u25b2"),
    h("strong", null, name),
    h(
      "span",
      { class: "muted" },
      `${count(layers.length)} ${layers.length === 1 ? "layer" : "layers"}`,
      most !== null && `, ${count(changed)} changed, at most ${number(most)}`,
    ),
  );
}

/** @param {Shown["drift"]} drift @param {Layer} layer */
const driftOf = (drift, { name }) => drift?.layers.find((one) => one.name === name) ?? null;

/** The largest drift of a block; null where none of its layers was observed. @param {Shown["drift"]} drift @param {Block | null} block */
function blockSize(drift, block) {
  const sizes = (block?.layers ?? []).flatMap((layer) => driftOf(drift, layer)?.symmetric_kl ?? []);
  return sizes.length > 0 ? Math.max(...sizes) : null;
}

/** @param {Shown["drift"]} drift @param {number | null} size */
const stepOf = (drift, size) =>
  drift === null || size === null || hasTooFewRows(drift) ? "none" : step(size, driftEdges(drift.large_symmetric_kl));

/** @param {Shown} state @param {PlacedRow[]} rows @param {number} at @param {Layer} layer */
function tab({ drift, layers, layer: selected }, rows, at, layer) {
  const found = driftOf(drift, layer);
  const place = layers.indexOf(layer);
  const before = sourcesInWords(rows, at);
  const prefix = rows[at].block === null ? "" : `${rows[at].block?.name}.`;
  const isShort = prefix !== "" && layer.name.startsWith(prefix);
  const name = isShort
    ? [
        h("span", { class: "visually-hidden" }, layer.name),
        h("span", { "aria-hidden": "true" }, breakable(layer.name.slice(prefix.length))),
      ]
    : breakable(layer.name);
  return h(
    "button",
    {
      key: layer.name,
      id: `layer-${place}`,
      type: "button",
      role: "tab",
      class: "layer",
      "aria-selected": layer.name === selected ? "true" : "false",
      "aria-controls": "layer",
      "data-step": stepOf(drift, found?.symmetric_kl ?? null),
      tabindex: layer.name === selected ? 0 : -1,
      title: before === "" ? layer.name : `${layer.name}, after ${before}`,
      onclick: () => select({ layer: layer.name, channel: null }),
      onkeydown: (/** @type {KeyboardEvent} */ event) => move(event, layers, place),
    },
    h(
      "span",
      { class: "size" },
      found !== null && found.symmetric_kl < SMALLEST ? `< ${SMALLEST}` : number(found?.symmetric_kl),
      found?.significant && h("span", { class: "flag", "aria-hidden": "true" }, "\u25b2"),
    ),
    h("span", { class: "name" }, name),
    h("span", { class: "channels" }, `${count(layer.num_features)} ch`),
    h("span", { class: "visually-hidden" }, rest(layer, found, before)),
  );
}

/** What is seen by colour and place alone. @param {Layer} layer @param {LayerDrift | null} drift @param {string} before */
const rest = ({ placement }, drift, before) =>
  `, ${drift?.significant ? "significant, " : ""}${PLACEMENTS[placement.kind]}${before && `, after ${before}`}`;

/** What a row is computed from. @param {PlacedRow[]} rows @param {number} at */
function sourcesInWords(rows, at) {
  /** @param {number} source */
  const words = (source) => {
    const { kind, name, sources } = rows[source];
    if (kind !== "join") return nameOf(rows[source]);
    return `${name} of ${listed(sources.map((one) => (rows[one].kind === "join" ? `the ${rows[one].name} before` : nameOf(rows[one]))))}`;
  };
  return listed(rows[at].sources.map(words));
}

/** @param {string[]} names */
const listed = (names) =>
  names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names[names.length - 1]}`;

/** @param {Shown} state */
function records({ layers, topology, drift }) {
  const rows = rowsOf(layers, topology, () => true);
  return rows.flatMap(({ layer }, at) => {
    if (layer === null) return [];
    const found = driftOf(drift, layer);
    return {
      layer: layer.name,
      kind: layer.kind,
      channels: layer.num_features,
      placement: layer.placement.kind,
      after: sourcesInWords(rows, at),
      symmetric_kl: found?.symmetric_kl,
      significant: found?.significant,
    };
  });
}

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
