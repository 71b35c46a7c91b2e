/** Re-calibrations: begin one from the traffic to come, see how far each is, and what its gates said. */

import { h } from "./dom.js";
import { count, date, number } from "./format.js";
import { gates } from "./gates.js";

const STATES = {
  collecting: "Collecting rows",
  waiting: "Waiting for its turn",
  estimating: "Estimating statistics",
  folding: "Folding",
  checking: "Checking",
  publishing: "Publishing",
  published: "Published",
  refused: "Refused",
  cancelled: "Cancelled",
  failed: "Failed",
  lost: "Lost",
};
const OVER = new Set(["published", "refused", "cancelled", "failed", "lost"]);
const SHOWN = 5;

/**
 * The form and the jobs, the latest first.
 *
 * @param jobs as the service describes them
 * @param begin called with the body of the request
 * @param cancel called with the id of a job
 */
export function recalibrations({ jobs, card, link }, begin, cancel) {
  return [
    h(
      "p",
      { class: "muted" },
      "Estimates the statistics of every layer anew from rows of the traffic to come. What passes its gates is published as " +
        "a version, which answers only where it is named, until it is promoted.",
    ),
    form(card, begin),
    jobs.length > 0 &&
      h(
        "ol",
        { class: "jobs" },
        jobs.slice(0, SHOWN).map((job, at) => entry(job, at === 0, link, cancel)),
      ),
  ];
}

function form(card, begin) {
  const submit = (event) => {
    event.preventDefault();
    const { rows, prior, minutes, force } = event.target.elements;
    const parameters = { force: force.checked, timeout_seconds: Number(minutes.value) * 60 };
    if (prior.value !== "") parameters.prior = Number(prior.value);
    begin({ collect: Number(rows.value), parameters });
  };
  const field = (words, properties) =>
    h("label", null, h("span", null, words), h("input", { type: "number", required: true, ...properties }));
  return h(
    "form",
    { class: "fields", onsubmit: submit },
    field("Rows", { name: "rows", min: 2, max: 4096, value: 256 }),
    field("Prior, in rows", { name: "prior", min: 0, max: 1e9, step: "any", required: false, placeholder: "default" }),
    field("Wait at most, in minutes", { name: "minutes", min: 1, max: 10080, value: 60 }),
    h(
      "label",
      { class: "check" },
      h("input", { type: "checkbox", name: "force" }),
      " Publish even if a gate does not pass",
    ),
    h("button", { class: "button" }, `Re-calibrate version ${card.version}`),
  );
}

function entry(job, latest, link, cancel) {
  return h(
    "li",
    { key: job.id },
    h(
      "p",
      { role: latest ? "status" : null },
      h(
        "strong",
        { class: job.state === "published" ? "done" : OVER.has(job.state) ? "failure" : null },
        STATES[job.state] ?? job.state,
      ),
      job.published !== null && [" as ", h("a", { href: link(String(job.published)) }, `version ${job.published}`)],
      h("span", { class: "muted" }, `, from version ${job.version}`, job.force ? ", forced" : ""),
    ),
    h("p", { class: "note" }, progress(job), ` ${date(job.created_at)}`),
    job.reason && h("p", null, job.reason),
    job.state === "collecting" && h("progress", { max: job.target_rows, value: job.rows, "aria-label": "Rows collected" }),
    !OVER.has(job.state) &&
      h("p", null, h("button", { type: "button", class: "link", onclick: () => cancel(job.id) }, "Cancel")),
    job.gates.length > 0 && h("details", { open: latest }, h("summary", null, "Gates"), gates(job.gates)),
  );
}

function progress({ rows, target_rows: target, seen, prior, labelled }) {
  const there = rows < target ? `${count(rows)} of ${count(target)} rows` : `${count(target)} rows`;
  const drawn = seen > 0 ? ` drawn from ${count(seen)}` : "";
  const mixed = prior === null ? "" : `, prior ${number(prior)}`;
  return `${there}${drawn}${labelled ? ", some with labels" : ""}${mixed}.`;
}
