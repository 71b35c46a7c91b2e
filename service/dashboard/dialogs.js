// @ts-check
/** Questions to the user that come before an action. */

import { element } from "./dom.js";

/**
 * Ask for a token.
 *
 * @param {string} reason
 * @returns {Promise<string | null>} null where the user gives none
 */
export function askForToken(reason) {
  const field = /** @type {HTMLInputElement} */ (element("token"));
  element("token-reason").textContent = reason;
  return showDialog("token-dialog", (close) => {
    element("token-form").onsubmit = (event) => {
      event.preventDefault();
      close(field.value.trim());
    };
    element("token-cancel").onclick = () => close(null);
  }).finally(() => {
    field.value = "";
  });
}

/**
 * Ask for a confirmation.
 *
 * @param {string} question
 * @returns {Promise<boolean>}
 */
export async function confirmed(question) {
  element("confirm-question").textContent = question;
  const value = await showDialog("confirm-dialog", (close) => {
    element("confirm-yes").onclick = () => close("yes");
    element("confirm-no").onclick = () => close(null);
  });
  return value !== null;
}

/**
 * Show a dialog until it is closed.
 *
 * @param {string} id
 * @param {(close: (value: string | null) => void) => void} prepare
 * @returns {Promise<string | null>} null where it is dismissed
 */
function showDialog(id, prepare) {
  const dialog = /** @type {HTMLDialogElement} */ (element(id));
  return new Promise((resolve) => {
    /** @param {string | null} value */
    const close = (value) => {
      dialog.onclose = null;
      dialog.close();
      resolve(value);
    };
    prepare(close);
    dialog.onclose = () => close(null);
    dialog.showModal();
  });
}
