// @ts-check
/** One image or text: its prediction, and how unusual each layer finds it. */

import { predictExample, predictImage, predictText } from "../actions.js";
import { bar } from "../charts.js";
import { takesDigits } from "../demonstration.js";
import { h } from "../dom.js";
import { count, number, percent } from "../format.js";
import { imageOf } from "../images.js";
import { step } from "../scale.js";
import { tensorCommand } from "./command.js";
import { generator } from "./generator.js";
import { keep } from "./keep.js";
import { ifMayPredict } from "./permitted.js";
import { rowsBox, rowsResult } from "./rows.js";
import { sketch } from "./sketch.js";

/** @import { ModelCard, On, Prediction, Shown, Trial } from "../types" */

const MOST_CLASSES = 5;

/** Of a score: 1 is exceeded by one undisturbed image or text in a hundred. */
const SCORE_EDGES = [0.7, 1, 2, 4];

/** @param {Shown} state */
export function trial(state) {
  const { card, trial, model, metadata } = state;
  const { preprocessing, tokenization, generation } = card;
  if (generation) return generator(state, generation);
  if (preprocessing) {
    const boxes = h("div", { class: "boxes" }, imageBox(preprocessing), takesDigits(card) && sketch());
    return [boxes, trial && result(trial, model, { isImage: true })];
  }
  if (tokenization) return [textBox(tokenization), trial && result(trial, model, { isImage: false })];
  return [
    rowsBox(metadata),
    trial && rowsResult(trial, model),
    h("p", { class: "muted" }, "Or from a shell:"),
    tensorCommand(model, metadata),
  ];
}

/** @param {NonNullable<ModelCard["preprocessing"]>} preprocessing */
function imageBox(preprocessing) {
  /** @param {On<HTMLInputElement>} event */
  const choose = ({ currentTarget: field }) => {
    const image = imageOf(field);
    field.value = ""; // so that the same image can be chosen again
    if (image !== null) predictImage(image);
  };
  return h(
    "div",
    { class: "drop" },
    h(
      "p",
      null,
      h(
        "label",
        { class: "button" },
        "Choose an image",
        h("input", {
          type: "file",
          accept: "image/png,image/jpeg",
          class: "hidden",
          onchange: choose,
          ...ifMayPredict(),
        }),
      ),
      " or drop or paste one here.",
    ),
    h(
      "p",
      { class: "muted" },
      `It is read as ${preprocessing.width} \u00d7 ${preprocessing.height} pixels, ${preprocessing.mode}. `,
      h("button", { type: "button", class: "link", onclick: predictExample, ...ifMayPredict() }, "Try the example"),
      ", a handwritten seven. Images that you send count as traffic.",
    ),
  );
}

/** @param {NonNullable<ModelCard["tokenization"]>} tokenization */
function textBox(tokenization) {
  /** @param {On<HTMLFormElement, SubmitEvent>} event */
  const send = (event) => {
    event.preventDefault();
    predictText(String(new FormData(event.currentTarget).get("text")));
  };
  return h(
    "form",
    { class: "drop", onsubmit: send },
    h("label", null, "Text", h("textarea", { name: "text", rows: 3, required: true })),
    h("button", { type: "submit", ...ifMayPredict() }, "Predict"),
    h(
      "p",
      { class: "muted" },
      `It may have ${count(tokenization.max_tokens)} words and signs. `,
      `The model knows ${count(tokenization.vocabulary_size)} different ones. Texts that you send count as traffic.`,
    ),
  );
}

/** @param {Trial} trial @param {string} model @param {{ isImage: boolean }} kind */
function result({ sent, prediction, failure }, model, { isImage }) {
  return h(
    "div",
    { class: isImage ? "result" : "result of-text" },
    isImage ? h("img", { src: sent, alt: "The image that was sent" }) : h("blockquote", null, sent),
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
        prediction.layers && [h("p", null, unusual(prediction.layers)), scores(prediction.layers)],
        keep(`${model}-answer`, () => records(prediction), ".result"),
      ),
    prediction &&
      !prediction.layers &&
      h("p", { class: "muted wide" }, "This version has no held-out rows to compare its layers with."),
  );
}

/** Classes, then layers, as lines of a table to keep. @param {Prediction} prediction */
const records = ({ probabilities, layers }) => [
  ...probabilities.map(({ label, probability }) => ({ of: "class", name: label, figure: probability })),
  ...(layers ?? []).map(({ name, score }) => ({ of: "layer", name, figure: score })),
];

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

/** What was unusual, in words. @param {NonNullable<Prediction["layers"]>} layers */
function unusual(layers) {
  const most = layers.toSorted((a, b) => b.score - a.score).filter(({ score }) => score > 1);
  if (most.length === 0) return "Every layer finds it as usual as what the model was tested with.";
  return `${count(most.length)} of ${count(layers.length)} layers ${most.length === 1 ? "finds" : "find"} it unusual, ${most[0].name} most.`;
}

/** @param {NonNullable<Prediction["layers"]>} layers */
const scores = (layers) =>
  h(
    "table",
    { class: "numbers" },
    h("caption", null, "How unusual each layer finds it. One undisturbed row in 100 scores more than 1."),
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
