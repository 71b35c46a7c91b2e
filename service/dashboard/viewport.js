// @ts-check
/** Which sections can be seen, and how wide the elements are that drawings are fitted to. */

import { current, update } from "./state.js";

/** @import { Host } from "./types" */

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
