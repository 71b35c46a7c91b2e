// @ts-check
/** Commands to copy. */

import { pathOf } from "../api.js";
import { h } from "../dom.js";

/** @import { ModelMetadata } from "../types" */

/** @param {string} text */
export const command = (text) => h("pre", { tabindex: 0 }, h("code", null, text));

/** A request that predicts from rows; small ones are of zeros. @param {ModelMetadata} metadata */
export function tensorRequest(metadata) {
  const inputs = metadata.inputs.map(({ name, datatype, shape: free }) => {
    const shape = free.map((size) => (size < 0 ? 1 : size));
    const size = shape.reduce((product, one) => product * one, 1);
    return { name, datatype, shape, data: size <= 16 ? Array(size).fill(0) : ["\u2026"] };
  });
  return JSON.stringify({ inputs });
}

/** Predict from rows. @param {string} model @param {ModelMetadata} metadata */
export const tensorCommand = (model, metadata) =>
  command(`curl -s ${address(model, "infer")} \\\n  -d '${tensorRequest(metadata)}'`);

/** Predict from an image. @param {string} model */
export const imageCommand = (model) => command(`curl -s ${address(model, "predict")} --data-binary @image.png`);

/** @param {string} model @param {string} verb */
const address = (model, verb) => new URL(`${pathOf(model)}/${verb}`, document.baseURI);
