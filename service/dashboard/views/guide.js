// @ts-check
/** First steps: send a request, see a layer, change the input and watch the alarm. */

import { predictExample } from "../actions.js";
import { link } from "../address.js";
import { previewOf, SENT, sendDigits, setNoise, takesDigits } from "../demonstration.js";
import { h } from "../dom.js";
import { count, percent } from "../format.js";
import { ifMayPredict } from "./permitted.js";
import { badge } from "./verdict.js";

/** @import { Content, On, Shown } from "../types" */

/** For models of handwritten digits, since it sends some. @param {Shown} state */
export function guide(state) {
  if (!takesDigits(state.card)) return null;
  const { trial, channels, judged } = state;
  const isSent = trial !== null && trial.prediction !== null;
  const steps = [
    step(
      "Send a request",
      "One handwritten digit. The answer is above, with what each layer makes of it.",
      isSent,
      h("button", { type: "button", class: "button", onclick: predictExample, ...ifMayPredict() }, "Send a seven"),
    ),
    step(
      "See a layer",
      "Each layer remembers what it saw in training, and shows beside it what it sees now.",
      channels !== null && channels.rows > 0,
      h("a", { href: link({ ...state, tab: "layers", layer: null }) }, "Look at the layers"),
    ),
    step("Change the input, and watch the alarm", demonstration(state), judged?.alarm ?? false, null),
  ];
  return [h("h3", null, "In three steps: what this page is for"), h("ol", { class: "steps" }, steps)];
}

/** @param {string} name @param {Content} text @param {boolean} isDone @param {Content} action */
const step = (name, text, isDone, action) =>
  h(
    "li",
    { key: name, class: isDone ? "is-done" : null },
    h("strong", null, name, isDone && h("span", { class: "done" }, " \u2713")),
    h("div", { class: "text" }, text),
    action,
  );

/** @param {Shown} state */
function demonstration({ demonstration: { noise, sent }, digits, judged, model, version }) {
  /** @param {On<HTMLInputElement>} event */
  const change = ({ currentTarget: { valueAsNumber } }) => setNoise(valueAsNumber / 100);
  const isSending = sent !== null && sent < SENT;
  return [
    h(
      "label",
      { class: "noise" },
      h("span", null, "Noise "),
      h("input", { type: "range", min: 0, max: 100, step: 5, value: Math.round(noise * 100), oninput: change }),
      h("span", { "aria-hidden": "true" }, percent(noise)),
    ),
    digits &&
      h("img", {
        class: "digits",
        src: previewOf(digits, noise),
        alt: `Handwritten digits with ${percent(noise)} noise`,
      }),
    h(
      "p",
      { class: "actions" },
      h(
        "button",
        { type: "button", class: "button", disabled: isSending, onclick: sendDigits, ...ifMayPredict() },
        `Send ${count(SENT)} of them`,
      ),
      isSending && h("progress", { max: SENT, value: sent, "aria-label": "Inputs sent" }),
    ),
    sent === SENT &&
      judged &&
      h("p", { role: "status" }, badge(judged), ". ", h("a", { href: link({ model, version }) }, "What now?")),
  ];
}
