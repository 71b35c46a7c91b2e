// @ts-check
/** What stands where no loaded version is selected. */

import { loadModel, loadVersion } from "../actions.js";
import { h } from "../dom.js";
import { indexOf } from "../selectors.js";
import { command } from "./command.js";
import { ifMayChange } from "./permitted.js";

/** @import { State } from "../types" */

/** @param {State} state */
export function empty(state) {
  const { overview, model, version } = state;
  if (overview === null) return null;
  if (overview.models.length === 0) {
    return [
      h("p", { class: "headline" }, "No models yet"),
      h("p", null, "Publish one into the repository, then load it:"),
      command("python -m training train --model mlp --data digits"),
    ];
  }
  if (model === null) return null;
  const entry = indexOf(state, model).find((one) => version === null || one.version === version);
  if (entry === undefined) return h("p", { class: "headline" }, "No such model or version");
  if (entry.state === "READY") return null;
  const load = () => (version === null ? loadModel() : loadVersion(version));
  return [
    h("p", { class: "headline" }, "Not loaded"),
    h("p", null, entry.reason),
    h("p", null, h("button", { type: "button", class: "button", onclick: load, ...ifMayChange() }, "Load it")),
  ];
}
