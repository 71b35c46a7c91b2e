// @ts-check
/** The page: it puts the parts together, and draws every view of the state into its element. */

import { predictImage } from "./actions.js";
import { readAddress } from "./address.js";
import { setTokenListener, setTokenPrompt } from "./api.js";
import { askForToken } from "./dialogs.js";
import { element, h, render } from "./dom.js";
import { listen } from "./events.js";
import { listenForImages } from "./images.js";
import { followAddress } from "./navigation.js";
import { refresh, start } from "./poller.js";
import { access as accessQuery, DRIFT_QUERIES, QUERIES, REPOSITORY_QUERIES } from "./queries.js";
import { shownVersion } from "./selectors.js";
import { subscribe, update } from "./state.js";
import { installTheme } from "./theme.js";
import { ingestTraffic } from "./traffic.js";
import { followLayer, observeViewport } from "./viewport.js";
import { about } from "./views/about.js";
import { account } from "./views/account.js";
import { channel } from "./views/channel.js";
import { classes } from "./views/classes.js";
import { empty } from "./views/empty.js";
import { graph } from "./views/graph.js";
import { guide } from "./views/guide.js";
import { history } from "./views/history.js";
import { layer, layerTitle } from "./views/layer.js";
import { historyLead, layersLead, tryLead, versionsLead } from "./views/leads.js";
import { overview } from "./views/overview.js";
import { recalibrations } from "./views/recalibrations.js";
import { replicas } from "./views/replicas.js";
import { steps } from "./views/steps.js";
import { tabs, title } from "./views/title.js";
import { traffic } from "./views/traffic.js";
import { trial } from "./views/trial.js";
import { announcement, verdict } from "./views/verdict.js";
import { versions } from "./views/versions.js";

/** @import { Content, Shown, State, Tab } from "./types" */

/** Views of any state, by the id of their element. @type {Record<string, (state: State) => Content>} */
const VIEWS = {
  service: ({ service }) => service?.version,
  connection: ({ isConnected }) => isConnected === false && "The service does not respond. Trying again.",
  notice: ({ notice }) => notice && h("p", { class: notice.isFailure ? "failure" : "done" }, notice.text),
  account,
  replicas,
  title,
  tabs,
};

/** Views of a loaded version, by the tab that shows them. @type {Record<Tab, Record<string, (state: Shown) => Content>>} */
const TAB_VIEWS = {
  now: { verdict, steps, traffic },
  layers: { "layers-lead": layersLead, graph, "layer-title": layerTitle, heatmap: layer, channel, classes },
  history: { "history-lead": historyLead, history },
  versions: { "versions-lead": versionsLead, versions, recalibration: recalibrations, about },
  try: { "try-lead": tryLead, trial, guide },
};

const SECTIONS = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#model > section"));

/** @param {State} state */
function draw(state) {
  document.title = state.model === null ? "Denge" : `${state.model} \u00b7 Denge`;
  const { model, tab } = state;
  const hasModels = state.overview === null || state.overview.models.length > 0;
  for (const [id, view] of Object.entries(VIEWS)) render(element(id), view(state));
  const isShown = showsVersion(state);
  element("overview").hidden = model !== null || !hasModels;
  if (model === null) render(element("models"), overview(state));
  element("model").hidden = !isShown;
  element("empty").hidden = isShown;
  render(element("empty"), isShown ? null : empty(state));
  if (!isShown) return;
  for (const section of SECTIONS) section.hidden = section.dataset.tab !== tab;
  element("layer").hidden = state.layers.length === 0;
  render(element("announcement"), announcement(state));
  for (const [id, view] of Object.entries(TAB_VIEWS[tab])) render(element(id), view(state));
}

/** @param {State} state @returns {state is Shown} */
const showsVersion = (state) =>
  state.model !== null && state.card !== null && state.metadata !== null && shownVersion(state) !== null;

installTheme(element("theme"));
setTokenPrompt(askForToken);
setTokenListener(() => refresh([accessQuery.name]));
listenForImages(/** @type {HTMLElement} */ (document.querySelector("section.trial")), predictImage);

update(readAddress());
subscribe(draw);
subscribe(followLayer);
addEventListener("hashchange", () => {
  followAddress();
  refresh(REPOSITORY_QUERIES);
});
observeViewport(document.querySelectorAll("section"), ["heatmap", "channel", "history"]);
start(QUERIES);
listen(
  {
    statistics: (event) => update((state) => ingestTraffic(state, event, performance.now())),
    drift: () => refresh(DRIFT_QUERIES),
  },
  (isStreaming) => update({ isStreaming }),
);
