/** Questions that have to be answered before anything goes on. */

const element = (id) => document.getElementById(id);

/** Ask for a token. Gives it, or null. */
export function askForToken(reason) {
  const dialog = element("token-dialog");
  const field = element("token");
  element("token-reason").textContent = reason;
  return new Promise((resolve) => {
    const close = (value) => {
      field.value = "";
      dialog.onclose = null;
      dialog.close();
      resolve(value);
    };
    element("token-form").onsubmit = (event) => {
      event.preventDefault();
      close(field.value.trim());
    };
    element("token-cancel").onclick = () => close(null);
    dialog.onclose = () => close(null);
    dialog.showModal();
  });
}

/** Ask whether it is meant. */
export function confirmed(question) {
  const dialog = element("confirm-dialog");
  element("confirm-question").textContent = question;
  return new Promise((resolve) => {
    const close = (answer) => {
      dialog.onclose = null;
      dialog.close();
      resolve(answer);
    };
    element("confirm-yes").onclick = () => close(true);
    element("confirm-no").onclick = () => close(false);
    dialog.onclose = () => close(false);
    dialog.showModal();
  });
}
