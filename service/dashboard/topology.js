// @ts-check
/** The layers of a network as a graph: its nodes from the top to the bottom, and the lines between them. */

import { blocksOf, MOST_LAYERS } from "./blocks.js";

/** @import { Block } from "./blocks.js" */
/** @import { Layer, TopologyNode } from "./types" */

/**
 * What has a row: a node of the topology, or a block of layers. Of an open block, the layers have rows of their own.
 *
 * @typedef {object} Row
 * @property {TopologyNode["kind"] | "block"} kind
 * @property {string} name
 * @property {Layer | null} layer
 * @property {Block | null} block that the row summarises, or is part of
 * @property {number[]} sources rows that it is computed from
 */

/** A line of a row, from what `source` computes. Null stands for the row's own node. @typedef {{ source: number, from: number | null, to: number | null }} Line */

/** @typedef {Row & { lane: number | null, lines: Line[] }} PlacedRow */

/** The same layers in the order of the topology. @param {Layer[]} layers @param {TopologyNode[]} topology */
export function inOrder(layers, topology) {
  const places = new Map(topology.map(({ name }, at) => [name, at]));
  return layers.toSorted((a, b) => (places.get(a.name) ?? Infinity) - (places.get(b.name) ?? Infinity));
}

/**
 * The rows. Without a topology they are the layers alone, from the input to the output, and have no lines.
 *
 * @param {Layer[]} layers in the order of the topology
 * @param {TopologyNode[]} topology
 * @param {(block: Block) => boolean} isOpen
 * @returns {PlacedRow[]}
 */
export function rowsOf(layers, topology, isOpen) {
  const nodes = nodesOf(layers, topology);
  return placed(layers.length > MOST_LAYERS ? inBlocks(nodes, blocksOf(layers), isOpen) : nodes);
}

/** @param {Layer[]} layers @param {TopologyNode[]} topology @returns {Row[]} */
function nodesOf(layers, topology) {
  const byName = new Map(layers.map((layer) => [layer.name, layer]));
  const known = topology.filter(({ kind, name }) => kind === "layer" && byName.has(name)).length;
  if (known < layers.length) {
    return layers.map((layer) => ({ kind: "layer", name: layer.name, layer, block: null, sources: [] }));
  }
  return topology.map(({ kind, name, sources }) => {
    const layer = kind === "layer" ? (byName.get(name) ?? null) : null;
    return { kind, name, layer, block: null, sources };
  });
}

/**
 * Rows with a summary before the layers of each block, or in their place. A join belongs to the layer before it.
 *
 * @param {Row[]} nodes
 * @param {Block[]} blocks
 * @param {(block: Block) => boolean} isOpen
 * @returns {Row[]}
 */
function inBlocks(nodes, blocks, isOpen) {
  const blockOf = new Map(blocks.flatMap((block) => block.layers.map((layer) => [layer, block])));
  /** @type {Row[]} */
  const rows = [];
  /** Row of each node. @type {number[]} */
  const places = [];
  /** @type {Block | null} */
  let block = null;
  for (const node of nodes) {
    /** @type {Block | null} */
    const next = node.layer !== null ? (blockOf.get(node.layer) ?? null) : node.kind === "join" ? block : null;
    const sources = node.sources.map((source) => places[source]);
    if (next !== null && next !== block) {
      rows.push({ kind: "block", name: next.name, layer: null, block: next, sources: [] });
    }
    block = next;
    if (block === null || isOpen(block)) {
      places.push(rows.push({ ...node, block, sources: [...new Set(sources)] }) - 1);
    } else {
      const at = rows.length - 1;
      const outside = sources.filter((source) => source !== at);
      rows[at].sources = [...new Set([...rows[at].sources, ...outside])];
      places.push(at);
    }
  }
  return rows;
}

/**
 * Give each row a lane, and the lines that enter, leave and pass it. What a row computes keeps a lane until the last row
 * that reads it: the first reader takes the lane, and what others read as well moves aside.
 *
 * @param {Row[]} rows
 * @returns {PlacedRow[]}
 */
function placed(rows) {
  const lastReader = rows.map((_, at) => at);
  rows.forEach(({ sources }, at) => {
    for (const source of sources) lastReader[source] = at;
  });
  const hasLines = rows.some(({ sources }) => sources.length > 0);
  /** Which row's result each lane holds. @type {Array<number | null>} */
  let lanes = [];
  return rows.map((row, at) => {
    const above = lanes;
    const below = above.map((source) => (source === null || lastReader[source] <= at ? null : source));
    const isHeading = row.kind === "block" && row.sources.length === 0 && lastReader[at] === at;
    const lane = !hasLines || isHeading ? null : laneOf(row, above, below);
    if (lane !== null) {
      const aside = below[lane] ?? null;
      below[lane] = lastReader[at] > at ? at : null;
      if (aside !== null) below[free(below)] = aside;
    }
    while (below.at(-1) === null) below.pop();
    lanes = below;
    return { ...row, lane, lines: linesOf(row, at, above, below) };
  });
}

/** @param {Row} row @param {Array<number | null>} above @param {Array<number | null>} below */
function laneOf({ sources }, above, below) {
  const entered = above.flatMap((source, lane) => (source !== null && sources.includes(source) ? lane : []));
  const ended = entered.filter((lane) => below[lane] === null);
  return ended[0] ?? entered[0] ?? free(below);
}

/** @param {Array<number | null>} lanes */
function free(lanes) {
  const first = lanes.indexOf(null);
  return first === -1 ? lanes.length : first;
}

/** @param {Row} row @param {number} at @param {Array<number | null>} above @param {Array<number | null>} below */
function linesOf({ sources }, at, above, below) {
  /** @type {Line[]} */
  const lines = [];
  above.forEach((source, from) => {
    if (source === null) return;
    if (sources.includes(source)) lines.push({ source, from, to: null });
    const to = below.indexOf(source);
    if (to !== -1) lines.push({ source, from, to });
  });
  const own = below.indexOf(at);
  if (own !== -1) lines.push({ source: at, from: null, to: own });
  return lines;
}
