/** One image: what the model says of it, and what its layers make of it. */

import { bar } from "./charts.js";
import { h } from "./dom.js";
import { number, percent } from "./format.js";

/** The first image among what was dropped, pasted or chosen. */
export function imageOf(transfer) {
  return [...(transfer?.files ?? [])].find((file) => file.type.startsWith("image/")) ?? null;
}

/** The box. `trial` is null before the first image. */
export function trial(state, tryImage, tryExample) {
  const { preprocessing } = state.card;
  if (!preprocessing)
    return [
      h("p", { class: "muted" }, "This model takes tensors, not images. Send it rows:"),
      command(tensorCommand(state)),
    ];
  const size = `${preprocessing.width} \u00d7 ${preprocessing.height}`;
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
          h("input", {
            type: "file",
            accept: "image/png,image/jpeg",
            class: "hidden",
            onchange: (event) => {
              const file = imageOf(event.target);
              event.target.value = "";
              if (file) tryImage(file);
            },
          }),
        ),
        " drop one here, or paste it.",
      ),
      h(
        "p",
        { class: "muted" },
        `It is read as ${size}, ${preprocessing.mode}. `,
        h("button", { type: "button", class: "link", onclick: tryExample }, "Try the example"),
        ", a handwritten seven. What you send is counted as traffic.",
      ),
    ),
    state.trial && result(state.trial),
  ];
}

function result({ address, answer, failure }) {
  return h(
    "div",
    { class: "result" },
    h("img", { src: address, alt: "The image that was sent" }),
    failure && h("p", { class: "failure", role: "alert" }, failure),
    answer &&
      h(
        "div",
        null,
        h(
          "p",
          { class: "answer", role: "status" },
          h("span", { class: "visually-hidden" }, "Prediction: "),
          h("strong", null, answer.label),
          " ",
          h("span", { class: "muted" }, percent(answer.probability)),
        ),
        probabilities(answer),
        answer.layers && layers(answer.layers),
      ),
    answer &&
      !answer.layers &&
      h("p", { class: "muted wide" }, "This version has no held-out images to compare its layers with."),
  );
}

function probabilities(answer) {
  const best = answer.probabilities.toSorted((a, b) => b.probability - a.probability).slice(0, 5);
  return h(
    "table",
    { class: "classes" },
    h("caption", { class: "visually-hidden" }, "Likeliest classes"),
    h(
      "tbody",
      null,
      best.map(({ label, probability }) =>
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
}

function layers(found) {
  return h(
    "table",
    { class: "numbers" },
    h("caption", null, "How unusual each layer finds it: 1 image in 100 has more than 1"),
    h(
      "tbody",
      null,
      found.map(({ name, score }) =>
        h(
          "tr",
          { key: name },
          h("th", { scope: "row" }, h("span", { class: "swatch", "data-step": scoreStep(score) }), " ", name),
          h("td", null, number(score), score > 1 && h("span", { class: "failure" }, " unusual")),
        ),
      ),
    ),
  );
}

/** The step of a score, 0 to 4: from 2 on it is unusual. */
const scoreStep = (score) => [0.7, 1, 2, 4].filter((edge) => score > edge).length;

/** How to send rows, for those who have none of them here. */
export function tensorCommand({ model, metadata }) {
  const inputs = metadata.inputs.map(({ name, datatype, shape: free }) => {
    const shape = free.map((size) => (size < 0 ? 1 : size));
    const size = shape.reduce((product, one) => product * one, 1);
    return { name, datatype, shape, data: size <= 16 ? Array(size).fill(0) : ["\u2026"] };
  });
  const address = new URL(`v2/models/${encodeURIComponent(model)}/infer`, document.baseURI);
  return `curl -s ${address} \\\n  -d '${JSON.stringify({ inputs })}'`;
}

/** How to send images. */
export function imageCommand({ model }) {
  const address = new URL(`v2/models/${encodeURIComponent(model)}/predict`, document.baseURI);
  return `curl -s ${address} --data-binary @image.png`;
}

/** A command to copy. */
export const command = (text) => h("pre", { tabindex: 0 }, h("code", null, text));
