// @ts-check
/** Versions made from traffic: start a re-calibration or collect a reference, see progress and gates. */

import { cancelJob, startRecalibration, startReference } from "../actions.js";
import { link } from "../address.js";
import { h } from "../dom.js";
import { count, date, number } from "../format.js";
import { gateTable } from "./gates.js";
import { learn } from "./learn.js";
import { ifMayChange } from "./permitted.js";

/** @import { Job, On, Properties, RecalibrationRequest, Shown } from "../types" */

const MOST_JOBS = 5;

/** What a job is doing, or how it has ended. @type {Record<Job["state"], string>} */
export const STATES = {
  collecting: "Collecting rows",
  waiting: "Queued",
  estimating: "Estimating statistics",
  folding: "Folding",
  checking: "Checking it",
  publishing: "Publishing",
  published: "Published",
  refused: "Refused",
  cancelled: "Cancelled",
  failed: "Failed",
  lost: "Lost when the service stopped",
};

/** @param {Shown} state */
export function recalibrations({ jobs, references, card }) {
  const all = [...jobs, ...references].toSorted((a, b) => b.created_at.localeCompare(a.created_at));
  return [
    h(
      "p",
      { class: "muted" },
      "Learns from inputs of the traffic, without labels, what each layer should expect: mean and spread of its channels. " +
        "A result that passes its checks becomes a new version, which nobody uses until you promote it. ",
      learn("recalibration", "How it works, and when it does not help"),
    ),
    card.unavailable.recalibration
      ? h("p", null, `Not possible: ${card.unavailable.recalibration}.`)
      : form(card.version),
    h("h3", null, "Reference"),
    h(
      "p",
      { class: "muted" },
      "Collects inputs of the traffic that you declare good. A new version compares what comes later with them. ",
      learn("watching", "What a reference is"),
    ),
    card.unavailable.reference
      ? h("p", null, `Not possible: ${card.unavailable.reference}.`)
      : referenceForm(card.version),
    all.length > 0 &&
      h(
        "ol",
        { class: "jobs" },
        all.slice(0, MOST_JOBS).map((job, at) => entry(job, at === 0)),
      ),
  ];
}

/** @param {number} version */
function form(version) {
  /** @param {On<HTMLFormElement, SubmitEvent>} event */
  const submit = (event) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget);
    /** @type {NonNullable<RecalibrationRequest["parameters"]>} */
    const parameters = { force: fields.has("force"), timeout_seconds: Number(fields.get("minutes")) * 60 };
    if (fields.get("prior") !== "") parameters.prior = Number(fields.get("prior"));
    startRecalibration({ collect: Number(fields.get("rows")), parameters });
  };
  return h(
    "form",
    { class: "fields", onsubmit: submit },
    field("Rows", { name: "rows", min: 2, max: 4096, value: 256 }),
    field("Time limit, in minutes", { name: "minutes", min: 1, max: 10080, value: 60 }),
    moreChoices,
    h("button", { class: "button", ...ifMayChange() }, `Re-calibrate version ${version}`),
  );
}

/** @param {string} label @param {Properties} properties */
const field = (label, properties) =>
  h("label", null, h("span", null, label), h("input", { type: "number", required: true, ...properties }));

/** What is rarely needed. */
const moreChoices = h(
  "details",
  null,
  h("summary", null, "More choices"),
  field("Weight of the training data, in inputs", {
    name: "prior",
    min: 0,
    max: 1e9,
    step: "any",
    required: false,
    placeholder: "estimated",
  }),
  h(
    "p",
    { class: "note" },
    "As if this many inputs of the training data were among those that are collected (the prior). Empty: estimated for " +
      "each layer. 0: only what is collected counts.",
  ),
  h("label", { class: "check" }, h("input", { type: "checkbox", name: "force" }), " Publish even if a check fails"),
  h("p", { class: "note" }, "The failed checks stay in the version's record. They are called gates in the API."),
);

/** @param {number} version */
function referenceForm(version) {
  /** @param {On<HTMLFormElement, SubmitEvent>} event */
  const submit = (event) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget);
    startReference({
      collect: Number(fields.get("rows")),
      parameters: { timeout_seconds: Number(fields.get("minutes")) * 60 },
    });
  };
  return h(
    "form",
    { class: "fields", onsubmit: submit },
    field("Rows of the reference", { name: "rows", min: 80, max: 5000, value: 1000 }),
    field("Time limit, in minutes", { name: "minutes", min: 1, max: 10080, value: 60 }),
    h("button", { class: "button", ...ifMayChange() }, `Collect a reference for version ${version}`),
  );
}

/** @param {Job} job @param {boolean} isLatest */
function entry(job, isLatest) {
  const { id, kind, state, published, model, version, force, gates } = job;
  const outcome = state === "published" ? "done" : job.is_finished ? "failure" : null;
  return h(
    "li",
    { key: id },
    h(
      "p",
      { role: isLatest ? "status" : null },
      h("strong", { class: outcome }, kind === "reference" ? "Reference: " : "", STATES[state]),
      published !== null && [
        " as ",
        h("a", { href: link({ model, tab: "versions", version: String(published) }) }, `version ${published}`),
      ],
      h("span", { class: "muted" }, `, from version ${version}`, force ? ", forced" : ""),
    ),
    h("p", { class: "note" }, progress(job), ` ${date(job.created_at)}`),
    job.reason && h("p", null, job.reason),
    job.accuracy_before &&
      job.accuracy_after &&
      h(
        "p",
        null,
        `Estimated accuracy on these rows: before ${accuracy(job.accuracy_before)}, after ${accuracy(job.accuracy_after)}.`,
      ),
    state === "collecting" &&
      h("progress", { max: job.target_seen, value: Math.min(job.seen, job.target_seen), "aria-label": "Rows seen" }),
    !job.is_finished &&
      h(
        "p",
        null,
        h("button", { type: "button", class: "link", onclick: () => cancelJob(job), ...ifMayChange() }, "Cancel"),
      ),
    gates.length > 0 &&
      h("details", { open: isLatest }, h("summary", null, "Checks"), gateTable(gates, `${model}-${id}`)),
  );
}

/** @param {NonNullable<Job["accuracy_before"]>} estimate */
const accuracy = ({ accuracy: share, low, high }) => {
  const [about, least, most] = [share, low, high].map((part) => (100 * part).toFixed(0));
  return `${about} % (${least} to ${most})`;
};

/** @param {Job} job */
function progress({ state, rows, target_rows: target, seen, target_seen: wanted, prior, labelled }) {
  if (state === "collecting") {
    const share = `Seen ${count(Math.min(seen, wanted))} of ${count(wanted)} rows`;
    return `${share}, to draw ${count(target)} from.`;
  }
  const collected = rows < target ? `${count(rows)} of ${count(target)} rows` : `${count(target)} rows`;
  const drawn = seen > 0 ? ` drawn from ${count(seen)}` : "";
  const mixed = prior === null ? "" : `, prior ${number(prior)}`;
  return `${collected}${drawn}${labelled ? ", some with labels" : ""}${mixed}.`;
}
