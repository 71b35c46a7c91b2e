// @ts-check
/** How the statistics of the selected layer came about in training, if its layers were watched. */

import { path, ticks } from "../charts.js";
import { h } from "../dom.js";
import { count, number, round } from "../format.js";
import { keep } from "./keep.js";
import { learn } from "./learn.js";

/** @import { Shown, TrainedLayer } from "../types" */

const HEIGHT = 120;
const [LEFT, RIGHT, TOP, FLOOR] = [56, 10, 8, HEIGHT - 20];

/**
 * @typedef {object} Chart
 * @property {string} name
 * @property {number[][]} values by step, for each percentile, or a single number
 * @property {number[]} [batch] medians of the batches, drawn beside
 */

/** @param {Shown} state */
export function training(state) {
  const { trainedLayer: trained, layer, widths } = state;
  if (trained === null || trained.layer !== layer || trained.steps.length === 0) return null;
  return h(
    "details",
    { class: "training", key: "training" },
    h("summary", null, "How these statistics came about in training"),
    h(
      "p",
      { class: "muted" },
      `${count(trained.steps[trained.steps.length - 1])} steps. Lines are medians over the channels, areas reach from `,
      `the ${trained.percentiles[0]}th to the ${trained.percentiles[trained.percentiles.length - 1]}th percentile, `,
      "and dashed lines are medians of the batches. ",
      learn("training", "How layers are watched in training"),
    ),
    h(
      "div",
      { class: "courses" },
      charts(trained).map((chart) => [h("h4", null, chart.name), draw(trained.steps, chart, widths.heatmap)]),
    ),
    keep(`${state.model}-${layer}-training`, () => records(trained), ".courses"),
  );
}

/** @param {TrainedLayer} trained */
const records = (trained) =>
  trained.steps.flatMap((step, at) =>
    trained.percentiles.map((percentile, of) => ({
      step,
      percentile,
      batch_mean: trained.batch_mean[at][of],
      batch_var: trained.batch_var[at][of],
      running_mean: trained.running_mean[at][of],
      running_var: trained.running_var[at][of],
      gamma: trained.gamma[at][of],
      beta: trained.beta[at][of],
      gradient_norm: trained.gradient_norm[at],
    })),
  );

/** @param {TrainedLayer} trained @returns {Chart[]} */
function charts(trained) {
  const middle = trained.percentiles.length >> 1;
  /** @param {number[][]} points */
  const medians = (points) => points.map((point) => point[middle]);
  return [
    { name: "Running mean", values: trained.running_mean, batch: medians(trained.batch_mean) },
    { name: "Running variance", values: trained.running_var, batch: medians(trained.batch_var) },
    { name: "Gamma", values: trained.gamma },
    { name: "Beta", values: trained.beta },
    { name: "Gradient of gamma and beta", values: trained.gradient_norm.map((norm) => [norm]) },
  ];
}

/** Over the logarithm of the step. @param {number[]} steps @param {Chart} chart @param {number} width */
function draw(steps, { name, values, batch = [] }, width) {
  if (width === 0) return null;
  const all = [...values.flat(), ...batch];
  const low = Math.min(...all);
  const high = Math.max(...all, low + 1e-6);
  const decades = Math.max(Math.log10(steps[steps.length - 1]), 1e-6);
  /** @param {number} step */
  const x = (step) => LEFT + (Math.log10(step) / decades) * (width - LEFT - RIGHT);
  /** @param {number} value */
  const y = (value) => FLOOR - ((value - low) / (high - low)) * (FLOOR - TOP);
  const last = values[0].length - 1;
  /** @param {(row: number) => number} value @returns {Array<[number, number]>} */
  const points = (value) => steps.map((step, row) => [x(step), y(value(row))]);
  const medians = values.map((point) => point[last >> 1]);
  const area = [...points((row) => values[row][last]), ...points((row) => values[row][0]).reverse()];
  const words = `${name}, median over the channels: ${number(medians[0])} at step ${count(steps[0])}, ${number(
    medians[medians.length - 1],
  )} at step ${count(steps[steps.length - 1])}.`;
  return h(
    "svg",
    { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": words },
    ticks(low, high, 3).map((value) => [
      h("line", { x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value), class: "grid" }),
      h("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, round(value)),
    ]),
    powers(decades).map((step) => h("text", { x: x(step), y: HEIGHT - 4, "text-anchor": "middle" }, count(step))),
    last > 0 && h("path", { d: `${path(area)}Z`, class: "dot", "fill-opacity": "0.15" }),
    batch.length > 0 && h("path", { d: path(points((row) => batch[row])), class: "line own" }),
    h("path", { d: path(points((row) => medians[row])), class: "line" }),
  );
}

/** Steps that are named: 1, 10, 100 ... @param {number} decades */
const powers = (decades) => Array.from({ length: Math.floor(decades) + 1 }, (_, power) => 10 ** power);
