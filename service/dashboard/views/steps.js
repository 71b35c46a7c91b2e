// @ts-check
/** What can be done about an alarm, step by step: re-calibrate, compare, send some requests, promote. */

import * as actions from "../actions.js";
import { link } from "../address.js";
import { h } from "../dom.js";
import { count, percent } from "../format.js";
import { learn } from "./learn.js";
import { ifMayChange, readOnlyNote } from "./permitted.js";
import { STATES } from "./recalibrations.js";

/** @import { Content, Job, Rollout, Shown, VersionState } from "../types" */

const ROWS = 256;
const FIRST_SHARE = 0.1;

/** @typedef {{ name: string, text: Content, isDone: boolean, action?: Content }} Step */

/** Nothing without an alarm and without a version to decide on. @param {Shown} state */
export function steps(state) {
  const { judged, rollout, jobs } = state;
  if (rollout === null) return null;
  const candidate = candidateOf(rollout);
  const job = jobs.find((one) => !one.is_finished) ?? null;
  if (!judged?.alarm && candidate === null && job === null) return null;
  const all = [recalibrate(state, candidate, job), compare(candidate), trickle(rollout, candidate), promote(candidate)];
  const at = all.findIndex((step) => !step.isDone);
  return [
    h("h3", null, "What can I do?"),
    h(
      "ol",
      { class: "steps" },
      all.map(({ name, text, isDone, action }, place) =>
        h(
          "li",
          {
            key: name,
            class: isDone ? "is-done" : place === at ? "is-next" : null,
            "aria-current": place === at ? "step" : null,
          },
          h("strong", null, name, isDone && h("span", { class: "done" }, " \u2713")),
          h("span", { class: "text" }, text),
          action,
        ),
      ),
    ),
    readOnlyNote(),
    h(
      "p",
      { class: "note" },
      `Each step can be taken back. ${byItself(rollout)} `,
      learn("operations", "How versions replace each other"),
    ),
  ];
}

/** What happens without a click. @param {Rollout} rollout */
const byItself = ({ auto }) =>
  auto === null || auto === "paused"
    ? "Nothing replaces the version in use by itself."
    : "Auto mode is on: it takes these steps by itself, and pauses when you take one.";

/** The version that may become the default: a canary, a shadow, or the newest that was re-calibrated. @param {Rollout} rollout */
function candidateOf({ versions, default: byDefault }) {
  const others = versions.filter((one) => one.loaded && !one.roles.includes("default"));
  return (
    others.find((one) => one.roles.includes("canary")) ??
    others.find((one) => one.roles.includes("shadow")) ??
    others.findLast((one) => one.lineage?.origin === "recalibrated" && Number(one.version) > Number(byDefault)) ??
    null
  );
}

/** @param {Shown} state @param {VersionState | null} candidate @param {Job | null} job @returns {Step} */
function recalibrate({ card, model, jobs }, candidate, job) {
  const name = "Re-calibrate";
  if (candidate !== null)
    return { name, text: `Version ${candidate.version} has learned from recent inputs.`, isDone: true };
  if (job !== null) {
    const seen =
      job.target_seen > 0 ? `: seen ${count(Math.min(job.seen, job.target_seen))} of ${count(job.target_seen)}` : "";
    const link_ = h("a", { href: link({ model, tab: "versions" }) }, "Follow it");
    return {
      name,
      text: job.state === "collecting" ? `Collecting inputs${seen}.` : `${STATES[job.state]}\u2026`,
      isDone: false,
      action: link_,
    };
  }
  const reason = card.unavailable.recalibration;
  if (reason) return { name, text: `Not possible: ${reason}.`, isDone: false };
  const start = () => actions.startRecalibration({ collect: ROWS });
  const last = jobs[0]?.state === "refused" ? ` The last one was refused: ${jobs[0].reason}` : "";
  return {
    name,
    text: `Learn the layers' statistics again from incoming inputs, without labels. The result is checked, and becomes a new version that nobody uses yet.${last}`,
    isDone: false,
    action: h("button", { type: "button", class: "button", onclick: start, ...ifMayChange() }, "Re-calibrate"),
  };
}

/** @param {VersionState | null} candidate @returns {Step} */
function compare(candidate) {
  const name = "Compare";
  const compared = candidate?.compared;
  if (compared?.agreement != null) {
    const text = `It answers ${percent(compared.agreement)} of ${count(compared.rows)} inputs as the version in use does.`;
    return { name, text, isDone: true };
  }
  if (candidate?.roles.includes("canary")) return { name, text: "It answers some requests already.", isDone: true };
  const isShadow = candidate?.roles.includes("shadow") ?? false;
  const start = () => candidate && actions.setShadow(candidate.version);
  return {
    name,
    text: isShadow ? "Waiting for inputs." : "Run it beside the version in use, without answering anybody.",
    isDone: false,
    action:
      candidate &&
      !isShadow &&
      h("button", { type: "button", class: "button", onclick: start, ...ifMayChange() }, "Compare"),
  };
}

/** @param {Rollout} rollout @param {VersionState | null} candidate @returns {Step} */
function trickle({ canary }, candidate) {
  const name = "Try on some requests";
  const isCanary = candidate?.roles.includes("canary") ?? false;
  if (isCanary) return { name, text: `It answers ${percent(canary?.share)} of the requests.`, isDone: true };
  const start = () => candidate && actions.setCanary(candidate.version, FIRST_SHARE);
  return {
    name,
    text: `Let it answer ${percent(FIRST_SHARE)} of the requests, as a canary.`,
    isDone: false,
    action:
      candidate && h("button", { type: "button", class: "button", onclick: start, ...ifMayChange() }, "Start canary"),
  };
}

/** @param {VersionState | null} candidate @returns {Step} */
function promote(candidate) {
  const start = () => candidate && actions.promote(candidate.version);
  return {
    name: "Promote",
    text: "Let it answer every request. One click under Versions goes back.",
    isDone: false,
    action: candidate && h("button", { type: "button", class: "button", onclick: start, ...ifMayChange() }, "Promote"),
  };
}
