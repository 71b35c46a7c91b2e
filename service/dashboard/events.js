/** What happens, as the service tells it: traffic every second, and alarms when they begin or end. */

/**
 * Listen while the page is looked at. A browser opens only a few connections to a host, so a page in the background has none.
 *
 * @param told called with the kind of an event and what it says
 */
export function listen(told) {
  let source = null;
  const follow = () => {
    if (document.hidden) {
      source?.close();
      source = null;
    } else if (source === null) {
      source = new EventSource("v2/events");
      for (const kind of ["statistics", "drift"]) {
        source.addEventListener(kind, (event) => told(kind, JSON.parse(event.data)));
      }
    }
  };
  document.addEventListener("visibilitychange", follow);
  follow();
}
