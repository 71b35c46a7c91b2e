// @ts-check
/** Blocks of a deep network: layers that follow each other and share the beginning of their names. */

/** @import { Layer } from "./types" */

/** @typedef {{ name: string, layers: Layer[] }} Block */

/** Networks with more layers are shown in blocks. */
export const MOST_LAYERS = 24;
const MOST_BLOCKS = 16;

/** As fine as names allow with at most 16 blocks; else parts of one length. @param {Layer[]} layers @returns {Block[]} */
export function blocksOf(layers) {
  const deepest = Math.max(0, ...layers.map(({ name }) => name.split(".").length)) - 1;
  for (let depth = deepest; depth > 0; depth--) {
    const blocks = runs(layers, depth);
    if (blocks.length <= MOST_BLOCKS && blocks.length > 1) return blocks;
  }
  const size = Math.ceil(layers.length / Math.ceil(layers.length / MOST_LAYERS + 3));
  return Array.from({ length: Math.ceil(layers.length / size) }, (_, at) => {
    const part = layers.slice(at * size, (at + 1) * size);
    return { name: `Layers ${at * size + 1} to ${at * size + part.length}`, layers: part };
  });
}

/** @param {Layer[]} layers @param {number} depth parts of a name that are compared @returns {Block[]} */
function runs(layers, depth) {
  /** @type {Block[]} */
  const found = [];
  for (const layer of layers) {
    const name = layer.name.split(".").slice(0, depth).join(".");
    const last = found.at(-1);
    if (last?.name === name) last.layers.push(layer);
    else found.push({ name, layers: [layer] });
  }
  return found;
}
