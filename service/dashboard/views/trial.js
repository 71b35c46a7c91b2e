// @ts-check
/** One image: its prediction, and how unusual each layer finds it. */

import { predictExample, predictImage } from "../actions.js";
import { bar } from "../charts.js";
import { h } from "../dom.js";
import { number, percent } from "../format.js";
import { imageOf } from "../images.js";
import { step } from "../scale.js";
import { tensorCommand } from "./command.js";

/** @import { On, Prediction, Shown, Trial } from "../types" */

const MOST_CLASSES = 5;

/** Of a score: 1 is exceeded by one undisturbed image in a hundred. */
const SCORE_EDGES = [0.7, 1, 2, 4];

/** @param {Shown} state */
export function trial({ card: { preprocessing }, trial, model, metadata }) {
  if (!preprocessing) {
    return [
      h("p", { class: "muted" }, "This model takes tensors, not images. Send it rows:"),
      tensorCommand(model, metadata),
    ];
  }
  /** @param {On<HTMLInputElement>} event */
  const choose = ({ currentTarget: field }) => {
    const image = imageOf(field);
    field.value = ""; // so that the same image can be chosen again
    if (image !== null) predictImage(image);
  };
  return [
    h(
      "div",
      { class: "drop" },
      h(
        "p",
        null,
        h(
          "label",
          { class: "button" },
          "Choose an image",
          h("input", { type: "file", accept: "image/png,image/jpeg", class: "hidden", onchange: choose }),
        ),
        " or drop or paste one here.",
      ),
      h(
        "p",
        { class: "muted" },
        `It is read as ${preprocessing.width} \u00d7 ${preprocessing.height} pixels, ${preprocessing.mode}. `,
        h("button", { type: "button", class: "link", onclick: predictExample }, "Try the example"),
        ", a handwritten seven. Images that you send count as traffic.",
      ),
    ),
    trial && result(trial),
  ];
}

/** @param {Trial} trial */
function result({ address, prediction, failure }) {
  return h(
    "div",
    { class: "result" },
    h("img", { src: address, alt: "The image that was sent" }),
    failure && h("p", { class: "failure", role: "alert" }, failure),
    prediction &&
      h(
        "div",
        null,
        h(
          "p",
          { class: "answer", role: "status" },
          h("span", { class: "visually-hidden" }, "Prediction: "),
          h("strong", null, prediction.label),
          " ",
          h("span", { class: "muted" }, percent(prediction.probability)),
        ),
        likeliest(prediction),
        prediction.layers && scores(prediction.layers),
      ),
    prediction &&
      !prediction.layers &&
      h("p", { class: "muted wide" }, "This version has no held-out images to compare its layers with."),
  );
}

/** @param {Prediction} prediction */
const likeliest = ({ probabilities }) =>
  h(
    "table",
    { class: "classes" },
    h("caption", { class: "visually-hidden" }, "Likeliest classes"),
    h(
      "tbody",
      null,
      probabilities
        .toSorted((a, b) => b.probability - a.probability)
        .slice(0, MOST_CLASSES)
        .map(({ label, probability }) =>
          h(
            "tr",
            null,
            h("th", { scope: "row" }, h("span", { class: "label", title: label }, label)),
            h("td", { class: "wide" }, bar(probability)),
            h("td", null, percent(probability)),
          ),
        ),
    ),
  );

/** @param {NonNullable<Prediction["layers"]>} layers */
const scores = (layers) =>
  h(
    "table",
    { class: "numbers" },
    h("caption", null, "How unusual each layer finds it. One undisturbed image in 100 scores more than 1."),
    h(
      "tbody",
      null,
      layers.map(({ name, score }) =>
        h(
          "tr",
          { key: name },
          h("th", { scope: "row" }, h("span", { class: "swatch", "data-step": step(score, SCORE_EDGES) }), " ", name),
          h("td", null, number(score), score > 1 && h("span", { class: "failure" }, " unusual")),
        ),
      ),
    ),
  );
