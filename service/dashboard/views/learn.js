// @ts-check
/** Links to the pages of the guide that explain what is shown. */

import { h } from "../dom.js";

/** @typedef {"accuracy" | "dashboard" | "drift" | "faq" | "operations" | "recalibration" | "training" | "watching"} GuidePage */

/** Nothing where the service does not serve the guide. @param {GuidePage} page @param {string} words */
export const learn = (page, words) =>
  document.getElementById("guide-link") !== null && h("a", { class: "learn", href: `guide/docs/${page}.html` }, words);
