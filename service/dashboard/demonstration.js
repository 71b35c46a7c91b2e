// @ts-check
/** Handwritten digits with noise, sent as traffic: a shift to watch. */

import * as api from "./api.js";
import { refresh } from "./poller.js";
import { shownPath } from "./selectors.js";
import { current, update } from "./state.js";

/** @import { ModelCard, ModelMetadata } from "./types" */

const SIDE = 28;
const PIXELS = SIDE * SIDE;
const PER_LINE = 16;
const PREVIEWED = 8;
const BATCH = 32;

/** Inputs that are sent: two of the windows that alarms are raised on, at the default size. */
export const SENT = 512;

/** Whether a model takes such digits. @param {ModelCard} card */
export const takesDigits = ({ preprocessing: takes }) =>
  takes !== null && takes.mode === "grey" && takes.width === SIDE && takes.height === SIDE;

/** Set how much noise the digits have. @param {number} noise from 0 to 1 */
export const setNoise = (noise) => update(({ demonstration }) => ({ demonstration: { ...demonstration, noise } }));

let preview = { noise: -1, address: "" };

/** Some digits with noise, as the address of an image. @param {number[][]} digits @param {number} noise from 0 to 1 */
export function previewOf(digits, noise) {
  if (preview.noise !== noise) {
    const drawn = Array.from({ length: PREVIEWED }, (_, at) => withNoise(digits[7 * at], noise));
    preview = { noise, address: draw(drawn) }; // the noise is to stand still while other things are drawn
  }
  return preview.address;
}

/** Send digits with the chosen noise to the version that is shown. */
export async function sendDigits() {
  const { card, metadata, digits, demonstration } = current();
  const path = shownPath(current());
  if (card === null || metadata === null || path === null || digits === null) return;
  /** @param {number | null} sent */
  const progress = (sent) => update((state) => ({ demonstration: { ...state.demonstration, sent } }));
  update({ notice: null });
  try {
    for (let sent = 0; sent < SENT; sent += BATCH) {
      progress(sent);
      const rows = Array.from({ length: BATCH }, () =>
        withNoise(digits[Math.floor(Math.random() * digits.length)], demonstration.noise),
      );
      await api.send("POST", `${path}/infer`, body(rows, card, metadata));
    }
    progress(SENT);
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    progress(null);
    update({ notice: { text: error.message, isFailure: true } });
  }
  refresh();
}

/** An inference request. @param {number[][]} rows pixels from 0 to 255 @param {ModelCard} card @param {ModelMetadata} metadata */
function body(rows, { preprocessing }, { inputs: [{ name, shape }] }) {
  const { scale, mean, std } = /** @type {NonNullable<ModelCard["preprocessing"]>} */ (preprocessing);
  const data = rows.flat().map((pixel) => Number(((pixel * scale - mean[0]) / std[0]).toFixed(4)));
  return { inputs: [{ name, datatype: "FP32", shape: [rows.length, ...shape.slice(1)], data }] };
}

/** The digits of an image, as pixels from 0 to 255. @param {string} path @returns {Promise<number[][]>} */
export async function loadDigits(path) {
  const image = new Image();
  image.src = path;
  try {
    await image.decode();
  } catch {
    throw new api.ApiError(404, "the service has no digits to send");
  }
  const context = contextOf(image.width, image.height);
  context.drawImage(image, 0, 0);
  return Array.from({ length: (image.width * image.height) / PIXELS }, (_, at) => {
    const [left, top] = [(at % PER_LINE) * SIDE, Math.floor(at / PER_LINE) * SIDE];
    return greyOf(context.getImageData(left, top, SIDE, SIDE).data);
  });
}

/** @param {Uint8ClampedArray} rgba */
const greyOf = (rgba) => Array.from({ length: rgba.length / 4 }, (_, at) => rgba[4 * at]);

/** Add normal noise, as a poor camera would. @param {number[]} digit @param {number} noise its deviation, white is 1 */
const withNoise = (digit, noise) => digit.map((pixel) => Math.min(Math.max(pixel + 255 * noise * normal(), 0), 255));

/** A standard normal number (Box and Muller, 1958). */
const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());

/** Digits side by side, as the address of an image. @param {number[][]} digits */
function draw(digits) {
  const context = contextOf(SIDE * digits.length, SIDE);
  digits.forEach((digit, at) => {
    const image = context.createImageData(SIDE, SIDE);
    image.data.set(digit.flatMap((pixel) => [pixel, pixel, pixel, 255]));
    context.putImageData(image, at * SIDE, 0);
  });
  return context.canvas.toDataURL();
}

/** @param {number} width @param {number} height */
function contextOf(width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
}
