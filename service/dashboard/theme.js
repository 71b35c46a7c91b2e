/** Light, dark, or as the system says. */

const KEY = "denge-theme";
const NAMES = { auto: "Theme: automatic", light: "Theme: light", dark: "Theme: dark" };

/** Apply what was chosen, and let a button go through the three. */
export function install(button) {
  let chosen = read();
  const apply = () => {
    document.documentElement.dataset.theme = chosen;
    button.textContent = NAMES[chosen];
  };
  button.onclick = () => {
    const order = Object.keys(NAMES);
    chosen = order[(order.indexOf(chosen) + 1) % order.length];
    apply();
    try {
      localStorage.setItem(KEY, chosen);
    } catch {
      // A browser that keeps nothing: it holds until the page is closed.
    }
  };
  apply();
}

function read() {
  try {
    const kept = localStorage.getItem(KEY);
    return kept !== null && Object.hasOwn(NAMES, kept) ? kept : "auto";
  } catch {
    return "auto";
  }
}
