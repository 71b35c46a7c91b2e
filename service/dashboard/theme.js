// @ts-check
/** Light, dark, or as the system is set. */

const KEY = "denge-theme";

/** @typedef {"auto" | "light" | "dark"} Theme */

/** @type {Record<Theme, string>} */
const NAMES = { auto: "Theme: automatic", light: "Theme: light", dark: "Theme: dark" };
const THEMES = /** @type {Theme[]} */ (Object.keys(NAMES));

/** Apply the stored theme, and let a button switch to the next one. @param {HTMLElement} button */
export function installTheme(button) {
  let theme = readTheme();
  const apply = () => {
    document.documentElement.dataset.theme = theme;
    button.textContent = NAMES[theme];
  };
  button.onclick = () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    apply();
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // The browser stores nothing: the theme lasts until the page is closed.
    }
  };
  apply();
}

/** @returns {Theme} */
function readTheme() {
  try {
    const stored = localStorage.getItem(KEY);
    return THEMES.find((theme) => theme === stored) ?? "auto";
  } catch {
    return "auto";
  }
}
