// @ts-check
/** Which sections can be seen, and how wide the elements are that drawings are fitted to. */

import { current, update } from "./state.js";

/** @import { Host, State } from "./types" */

const NEARBY = "200px"; // so that what is scrolled to is up to date when it comes into view

/**
 * Keep `visible` and `widths` of the state up to date.
 *
 * @param {Iterable<Element>} sections named by their first class
 * @param {Host[]} hosts ids of elements
 */
export function observeViewport(sections, hosts) {
  const intersections = new IntersectionObserver(
    (entries) => {
      const visible = new Set(current().visible);
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) visible.add(target.classList[0]);
        else visible.delete(target.classList[0]);
      }
      update({ visible });
    },
    { rootMargin: NEARBY },
  );
  for (const section of sections) intersections.observe(section);

  const resizes = new ResizeObserver((entries) => {
    const widths = { ...current().widths };
    for (const { target, contentRect } of entries) widths[/** @type {Host} */ (target.id)] = contentRect.width;
    // In the next frame: what is drawn may change the height of what is observed.
    if (hosts.some((host) => widths[host] !== current().widths[host])) requestAnimationFrame(() => update({ widths }));
  });
  for (const host of hosts) resizes.observe(/** @type {Element} */ (document.getElementById(host)));
}

/** The layer that was scrolled to. @type {string | null} */
let followed = null;

/** Scroll the graph of layers, and nothing around it, to the layer that was selected. @param {State} state */
export function followLayer({ layer }) {
  if (layer === followed) return;
  const tab = document.querySelector("#graph [aria-selected='true']");
  const graph = tab?.closest(".graph");
  if (!tab || !graph) return;
  followed = layer;
  const [seen, wanted] = [graph.getBoundingClientRect(), tab.getBoundingClientRect()];
  if (wanted.top < seen.top || wanted.bottom > seen.bottom) {
    graph.scrollTop += (wanted.top + wanted.bottom - seen.top - seen.bottom) / 2;
  }
}
