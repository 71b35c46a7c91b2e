// @ts-check
/** Images from a generator: how many, of which class, from which seed. */

import { generateImages } from "../actions.js";
import { h } from "../dom.js";
import { count } from "../format.js";
import { ifMayPredict } from "./permitted.js";

/** @import { GenerationRequest, ModelCard, On, Shown } from "../types" */

const MOST_IMAGES = 64;
const FIRST_IMAGES = 16;

/** @param {Shown} state @param {NonNullable<ModelCard["generation"]>} generation */
export function generator({ generated }, { classes }) {
  /** @param {On<HTMLFormElement, SubmitEvent>} event */
  const send = (event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const [seed, ofClass] = [String(form.get("seed") ?? ""), String(form.get("class") ?? "")];
    /** @type {GenerationRequest} */
    const request = { count: Number(form.get("count")) };
    if (seed !== "") request.seed = Number(seed);
    if (ofClass !== "") request.class = ofClass;
    generateImages(request);
  };
  return [
    h(
      "form",
      { class: "drop generator", onsubmit: send },
      field("Images", { name: "count", min: 1, max: MOST_IMAGES, value: FIRST_IMAGES, required: true }),
      classes.length > 0 &&
        h(
          "label",
          null,
          "Class ",
          h(
            "select",
            { name: "class" },
            h("option", { value: "" }, "each in turn"),
            classes.map((name) => h("option", { key: name, value: name }, name)),
          ),
        ),
      field("Seed", { name: "seed", min: 0, placeholder: "any" }),
      h("button", { type: "submit", class: "button", ...ifMayPredict() }, "Generate"),
      h("p", { class: "muted" }, "The same seed gives the same images."),
    ),
    generated &&
      h(
        "div",
        { class: "result" },
        generated.failure !== null && h("p", { class: "failure", role: "alert" }, generated.failure),
        generated.address !== null && [
          h("img", { class: "generated", src: generated.address, alt: `${count(generated.count)} generated images` }),
          h(
            "p",
            { role: "status" },
            `Seed ${generated.seed}. `,
            h("a", { href: generated.address, download: "generated.png" }, "Save as PNG"),
          ),
        ],
      ),
  ];
}

/** @param {string} label @param {Record<string, unknown>} properties */
const field = (label, { value, ...properties }) =>
  h("label", null, `${label} `, h("input", { type: "number", ...properties, defaultValue: value }));
