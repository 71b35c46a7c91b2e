// @ts-check
/** Controls that the service would refuse are disabled, and say why. */

import { signIn } from "../actions.js";
import { h } from "../dom.js";
import { current } from "../state.js";

/** @import { Properties } from "../types" */

/** Id of the element in the header that says what the page may do. */
export const REASON_ID = "permissions";

/** Properties of a control that changes what is served. */
export const ifMayChange = () => ifPermitted("may_change", "Changes need the admin token: sign in first.");

/** Properties of a control that asks for predictions. */
export const ifMayPredict = () => ifPermitted("may_predict", "Predictions need an API key: sign in first.");

/** @param {"may_change" | "may_predict"} right @param {string} reason @returns {Properties} */
function ifPermitted(right, reason) {
  const { access } = current();
  return access === null || access[right] ? {} : { disabled: true, title: reason, "aria-describedby": REASON_ID };
}

/** Beside controls that change what is served, where they are disabled. */
export const readOnlyNote = () =>
  current().access?.may_change === false &&
  h(
    "p",
    { class: "note" },
    "Read only: changes need the admin token. ",
    h("button", { type: "button", class: "link", onclick: signIn }, "Sign in to change what is served"),
  );
