// @ts-check
/** A place to draw a digit with the pointer. It is sent as the digits of MNIST are: white on black, in the middle. */

import { predictImage } from "../actions.js";
import { h } from "../dom.js";

/** @import { On } from "../types" */
import { ifMayPredict } from "./permitted.js";

const SIDE = 280;
const INNER = 200;
const LINE = 20;

/** @typedef {PointerEvent & { currentTarget: HTMLCanvasElement }} Stroke */

/** @param {HTMLCanvasElement} canvas */
const contextOf = (canvas) =>
  /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));

/** @param {Stroke} event */
function begin(event) {
  event.preventDefault();
  event.currentTarget.setPointerCapture(event.pointerId);
  const context = contextOf(event.currentTarget);
  Object.assign(context, { lineWidth: LINE, lineCap: "round", lineJoin: "round", strokeStyle: "white" });
  context.beginPath();
  follow(event);
}

/** @param {Stroke} event */
function follow(event) {
  if (event.buttons === 0) return;
  const { width } = event.currentTarget.getBoundingClientRect();
  const context = contextOf(event.currentTarget);
  context.lineTo((event.offsetX * SIDE) / width, (event.offsetY * SIDE) / width);
  context.stroke();
}

/** The canvas beside a button. @param {On<HTMLElement>} event */
const canvasOf = ({ currentTarget: button }) =>
  /** @type {HTMLCanvasElement} */ (button.closest(".sketch")?.querySelector("canvas"));

/** @param {On<HTMLElement>} event */
function clear(event) {
  contextOf(canvasOf(event)).clearRect(0, 0, SIDE, SIDE);
}

/** @param {On<HTMLElement>} event */
function send(event) {
  const drawn = canvasOf(event);
  const box = boundsOf(contextOf(drawn).getImageData(0, 0, SIDE, SIDE).data);
  if (box === null) return;
  const centred = document.createElement("canvas");
  centred.width = centred.height = SIDE;
  const context = contextOf(centred);
  context.fillRect(0, 0, SIDE, SIDE);
  const scale = INNER / Math.max(box.width, box.height);
  const [width, height] = [box.width * scale, box.height * scale];
  context.drawImage(
    drawn,
    box.left,
    box.top,
    box.width,
    box.height,
    (SIDE - width) / 2,
    (SIDE - height) / 2,
    width,
    height,
  );
  centred.toBlob((image) => image && predictImage(image));
}

/** The smallest box around everything that is drawn; null where nothing is. @param {Uint8ClampedArray} rgba */
function boundsOf(rgba) {
  let [left, top, right, bottom] = [SIDE, SIDE, -1, -1];
  for (let at = 0; at < SIDE * SIDE; at++) {
    if (rgba[4 * at + 3] === 0) continue;
    const [x, y] = [at % SIDE, Math.floor(at / SIDE)];
    [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x), Math.max(bottom, y)];
  }
  return right < 0 ? null : { left, top, width: right - left + 1, height: bottom - top + 1 };
}

export const sketch = () =>
  h(
    "div",
    { class: "sketch" },
    h("p", { class: "muted" }, "Or draw a digit:"),
    h("canvas", {
      width: SIDE,
      height: SIDE,
      role: "img",
      "aria-label": "Draw a digit here with the pointer",
      onpointerdown: begin,
      onpointermove: follow,
    }),
    h(
      "p",
      { class: "actions" },
      h("button", { type: "button", class: "button", onclick: send, ...ifMayPredict() }, "Predict the drawing"),
      h("button", { type: "button", class: "link", onclick: clear }, "Clear"),
    ),
  );
