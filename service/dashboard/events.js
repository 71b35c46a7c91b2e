// @ts-check
/** Server-sent events: traffic every second, and alarms as they begin and end. */

const RETRY_MS = 30_000;

/**
 * Receive events while the page is looked at. A browser opens few connections to a host, so a page in the background
 * has none.
 *
 * @param {Record<string, (data: any) => void>} handlers by the type of an event
 * @param {(isOpen: boolean) => void} onConnection
 */
export function listen(handlers, onConnection) {
  /** @type {EventSource | null} */
  let source = null;

  const open = () => {
    if (document.hidden || source !== null) return;
    const opened = new EventSource("v2/events");
    source = opened;
    opened.onopen = () => onConnection(true);
    opened.onerror = () => {
      onConnection(false);
      if (opened.readyState !== EventSource.CLOSED || source !== opened) return; // the browser tries again
      source = null;
      setTimeout(open, RETRY_MS);
    };
    for (const [type, handle] of Object.entries(handlers)) {
      opened.addEventListener(type, (event) => handle(JSON.parse(event.data)));
    }
  };
  const close = () => {
    source?.close();
    source = null;
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  open();
}
