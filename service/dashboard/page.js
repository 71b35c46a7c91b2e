/** The page: when to ask again, what can be done, and where everything is drawn. */

import { link, readAddress } from "./address.js";
import { askWith, Failure, forgetToken, hasToken, pathOf, send } from "./api.js";
import { timeline } from "./charts.js";
import { classes } from "./classes.js";
import { askForToken, confirmed } from "./dialogs.js";
import { h, render } from "./dom.js";
import { VERDICTS } from "./drift.js";
import * as events from "./events.js";
import { count, number, time } from "./format.js";
import { ask, chosen, forget, hear, key, known, loaded, names } from "./known.js";
import * as network from "./network.js";
import { recalibrations } from "./recalibrations.js";
import * as theme from "./theme.js";
import { command, imageCommand, imageOf, tensorCommand, trial } from "./trial.js";
import { badge, figures, headline } from "./verdict.js";
import { about, versions } from "./versions.js";

const EVERY = 2000;
const WINDOWS = { "1m": "1 minute", "1h": "1 hour", "1d": "1 day", start: "since start" };

const element = (id) => document.getElementById(id);

// ---------------------------------------------------------------------------------------------------- the address

function choose(change) {
  Object.assign(chosen, change);
  history.replaceState(null, "", link(chosen));
  if ("window" in change || "layer" in change) refresh();
  draw();
}

function followAddress() {
  const before = key();
  Object.assign(chosen, readAddress());
  if (chosen.model === null) chosen.model = names()[0] ?? null;
  if (key() !== before) {
    forget();
    notice = null;
  }
  refresh();
  draw();
}

// ------------------------------------------------------------------------------------------------------ the asking

let asking = false;
let again = false;

/** Bring everything up to date: once more after this if it is asked for meanwhile. */
async function refresh() {
  if (asking) {
    again = true;
    return;
  }
  asking = true;
  do {
    again = false;
    try {
      await ask();
      known.connected = true;
    } catch (failure) {
      asking = failure instanceof Failure;
      if (!asking) throw failure;
      known.connected = false;
    }
    draw();
  } while (again);
  asking = false;
}

function told(kind, event) {
  if (kind === "drift") {
    refresh();
  } else {
    hear(event);
    draw();
  }
}

// ------------------------------------------------------------------------------------------------------ the doing

async function tryImage(file) {
  if (known.trial) URL.revokeObjectURL(known.trial.address);
  const shown = { address: URL.createObjectURL(file), answer: null, failure: null };
  known.trial = shown;
  draw();
  try {
    shown.answer = await send("POST", `${pathOf(chosen.model, chosen.version)}/predict?layer_statistics=true`, file);
  } catch (failure) {
    shown.failure = failure.message;
  }
  draw();
  refresh();
}

async function tryExample() {
  const response = await fetch("docs/seven.png");
  await tryImage(await response.blob());
}

let notice = null;

/** Do what changes the service, and say how it went. */
async function act(words, method, path, body) {
  notice = null;
  try {
    const answer = await send(method, path, body);
    notice = { text: words, failed: false };
    return answer;
  } catch (failure) {
    notice = { text: failure.message, failed: true };
    return null;
  } finally {
    known.of = null;
    await refresh();
    draw();
  }
}

const ofVersion = (version) => link({ model: chosen.model, version });

const decide = (words, method, what, body) => act(words, method, `${pathOf(chosen.model)}/rollout/${what}`, body);

const begin = (body) =>
  act("The re-calibration has begun.", "POST", `${pathOf(chosen.model, chosen.version)}/recalibrations`, body);

const cancel = (job) =>
  act(
    "The re-calibration is cancelled.",
    "DELETE",
    `${pathOf(chosen.model)}/recalibrations/${encodeURIComponent(job)}`,
  );

function repository(verb, version) {
  const path = `v2/repository/models/${encodeURIComponent(chosen.model)}`;
  return version === null ? `${path}/${verb}` : `${path}/versions/${version}/${verb}`;
}

/** Load and unload a version, or the whole model where there is none. */
const manage = {
  load(version) {
    const words =
      version === null ? `${chosen.model} is up to date with the repository.` : `Version ${version} is loaded.`;
    return act(words, "POST", repository("load", version));
  },
  async unload(version) {
    const words = version === null ? `${chosen.model} is unloaded.` : `Version ${version} is unloaded.`;
    const question = `Unload ${chosen.model}? Requests to it are refused until it is loaded again.`;
    if (version === null && !(await confirmed(question))) return;
    await act(words, "POST", repository("unload", version));
  },
};

// ---------------------------------------------------------------------------------------------------- the drawing

function draw() {
  element("service").textContent = known.service ? known.service.version : "";
  element("connection").textContent = known.connected === false ? "The service does not answer. Trying again." : "";
  element("forget").hidden = !hasToken();
  render(element("notice"), notice && h("p", { class: notice.failed ? "failure" : "done" }, notice.text));
  render(element("models"), modelList());
  const { model } = chosen;
  const there = known.card !== null;
  element("model").hidden = !there;
  element("empty").hidden = there || known.connected === null;
  document.title = model === null ? "Denge" : `${model} \u00b7 Denge`;
  render(element("title"), model !== null && title());
  if (!there) {
    render(element("empty"), nothing());
    return;
  }
  announce();
  render(element("verdict"), headline(known.drift, known.trouble));
  const done = known.rollout?.versions.find((one) => one.version === String(known.card.version));
  render(element("figures"), figures(known.samples.get(`${model}/${known.card.version}`) ?? [], done));
  drawNetwork();
  render(element("history"), past());
  render(element("classes"), predicted());
  render(element("trial"), trial({ ...known, model }, tryImage, tryExample));
  const index = known.index.filter((entry) => entry.name === model);
  const drifts = new Map([...known.drifts, [String(known.card.version), known.drift]]);
  render(element("versions"), versions({ ...known, drifts, index, link: ofVersion }, decide, manage));
  render(element("recalibration"), recalibrations({ ...known, link: ofVersion }, begin, cancel));
  render(element("about"), about(known));
}

function modelList() {
  const found = names();
  return h(
    "ul",
    null,
    found.map((name) =>
      h(
        "li",
        { key: name },
        h(
          "a",
          { href: link({ model: name }), "aria-current": name === chosen.model ? "page" : null },
          h("span", { class: "name" }, name),
          badge(known.verdicts.get(name)) ?? (loaded(name) ? null : h("span", { class: "badge" }, "not loaded")),
        ),
      ),
    ),
  );
}

function title() {
  const index = known.index.filter((entry) => entry.name === chosen.model);
  const answers = chosen.version === null ? known.card?.version : null;
  return [
    h("h2", { class: "model-name" }, chosen.model),
    index.length > 0 &&
      h(
        "label",
        null,
        h("span", null, "Version "),
        h(
          "select",
          {
            value: chosen.version ?? "default",
            onchange: (event) => {
              location.hash = link({
                model: chosen.model,
                version: event.target.value === "default" ? null : event.target.value,
              });
            },
          },
          h("option", { key: "default", value: "default" }, answers ? `default (${answers})` : "default"),
          index
            .toReversed()
            .map(({ version, state }) =>
              h(
                "option",
                { key: version, value: version, selected: version === chosen.version },
                state === "READY" ? version : `${version} (not loaded)`,
              ),
            ),
        ),
      ),
    known.card &&
      h(
        "fieldset",
        { class: "choice" },
        h("legend", { class: "visually-hidden" }, "Window of time"),
        Object.entries(WINDOWS).map(([name, words]) =>
          h(
            "label",
            { key: name },
            h("input", {
              type: "radio",
              name: "window",
              value: name,
              checked: name === chosen.window,
              onchange: () => choose({ window: name }),
            }),
            h("span", null, words),
          ),
        ),
      ),
  ];
}

/** For those who listen: a word when the verdict changes, and none when only a number does. */
function announce() {
  if (!known.drift) return;
  element("announcement").textContent = `${chosen.model}: ${VERDICTS[known.drift.verdict] ?? known.drift.verdict}`;
}

function nothing() {
  if (known.connected === false) return null;
  if (!known.index.length)
    return [
      h("p", { class: "headline" }, "No models yet"),
      h("p", null, "Publish one into the repository, then load it:"),
      command("python -m training train --model mlp --data digits"),
    ];
  const entry = known.index.find(
    (one) => one.name === chosen.model && (chosen.version === null || one.version === chosen.version),
  );
  if (!entry) return h("p", { class: "headline" }, "There is no such model");
  if (entry.state === "READY") return null;
  return [
    h("p", { class: "headline" }, "Not loaded"),
    h("p", null, entry.reason),
    h(
      "p",
      null,
      h("button", { type: "button", class: "button", onclick: () => manage.load(chosen.version) }, "Load it"),
    ),
  ];
}

function drawNetwork() {
  const { layers, channels, remembered } = known;
  const drifts = new Map((known.live?.layers ?? []).map((layer) => [layer.name, layer]));
  for (const layer of known.drift?.layers ?? []) drifts.set(layer.name, { ...drifts.get(layer.name), ...layer });
  element("layer").hidden = !layers.length;
  if (!layers.length) {
    render(element("strip"), h("p", { class: "muted" }, "This version has no normalisation layer."));
    return;
  }
  const width = element("strip").clientWidth;
  render(
    element("strip"),
    network.strip(layers, drifts, chosen.layer, width, (layer) => choose({ layer, channel: null })),
  );
  const layer = layers.find((one) => one.name === chosen.layer);
  if (!layer) return;
  const usable = channels?.rows > 0 && channels.layer === layer.name;
  render(element("layer-title"), layerTitle(layer, usable));
  if (!usable) {
    render(element("heatmap"), unseen());
    render(element("channel"), remembered?.name === layer.name && stored(remembered));
    return;
  }
  const pick = (at) => choose({ channel: at });
  const channel = chosen.channel ?? 0;
  const columns = columnsOf(element("heatmap").clientWidth, channels.channels.mean.length);
  render(
    element("heatmap"),
    network.heatmap(channels, chosen.measure, channel, columns, pick),
    network.legend(chosen.measure),
    h("details", null, h("summary", null, "As a table"), network.table(channels, pick)),
  );
  const own = remembered?.name === layer.name ? remembered : null;
  render(element("channel"), network.channel(channels, own, channel, element("channel").clientWidth));
}

/** A power of two, as channels are: wider than high, and with cells wide enough to read. */
function columnsOf(width, channels) {
  const least = channels > 256 ? 10 : 28;
  let columns = 4;
  while (columns * 2 * least <= width && columns * columns < 2 * channels) columns *= 2;
  return columns;
}

function layerTitle(layer, usable) {
  return [
    h("h3", null, layer.name),
    h("p", { class: "muted" }, network.placement(layer)),
    usable &&
      h(
        "fieldset",
        { class: "choice" },
        h("legend", { class: "visually-hidden" }, "Colour the channels by"),
        Object.entries(network.MEASURES).map(([name, measure]) =>
          h(
            "label",
            { key: name },
            h("input", {
              type: "radio",
              name: "measure",
              value: name,
              checked: name === chosen.measure,
              onchange: () => choose({ measure: name }),
            }),
            h("span", null, measure.name),
          ),
        ),
      ),
  ];
}

function unseen() {
  const { live, card, metadata } = known;
  const samples = known.samples.get(`${chosen.model}/${card.version}`) ?? [];
  const observed = live ? live.observed.batches + live.observed.dropped_batches : 0;
  if (!observed && samples.at(-1)?.requests > 5) {
    return h(
      "p",
      { class: "muted" },
      "This version is not watched: it has no observed graph, or watching is switched off.",
    );
  }
  const send = card.preprocessing ? imageCommand(chosen) : tensorCommand({ model: chosen.model, metadata });
  return [
    h("p", null, `Nothing seen in this window (${WINDOWS[chosen.window]}). Try an image below, or send some traffic:`),
    command(send),
  ];
}

function stored(remembered) {
  const channel = chosen.channel ?? 0;
  return [
    h("h3", null, `Channel ${channel}, as remembered`),
    network.memory(remembered, channel),
    remembered.num_features > 1 &&
      h(
        "label",
        null,
        "Channel ",
        h("input", {
          type: "number",
          min: 0,
          max: remembered.num_features - 1,
          value: channel,
          onchange: (event) => {
            const wanted = Math.round(Number(event.target.value));
            if (wanted >= 0 && wanted < remembered.num_features) choose({ channel: wanted });
          },
        }),
      ),
  ];
}

function past() {
  const points = (known.history ?? []).filter((point) => point.rows > 0);
  if (!points.length)
    return h(
      "p",
      { class: "muted" },
      known.history === null ? "Not recorded for this version." : "Nothing has been seen yet.",
    );
  return [
    h(
      "p",
      { class: "key" },
      h("span", { class: "whole" }, "whole network"),
      chosen.layer !== null && [", ", h("span", { class: "own" }, chosen.layer)],
      ", ",
      h("span", { class: "alarms" }, "\u25bc alarm"),
      h("span", { class: "muted" }, "; symmetric KL divergence"),
    ),
    timeline(points, chosen.layer, element("history").clientWidth),
    h(
      "details",
      null,
      h("summary", null, "As a table"),
      h(
        "div",
        { class: "scroll", tabindex: 0, role: "region", "aria-label": "Drift over time as a table" },
        h(
          "table",
          { class: "numbers" },
          h(
            "thead",
            null,
            h(
              "tr",
              null,
              ["Time", "Rows", "Drift", "Alarm"].map((name) => h("th", { scope: "col" }, name)),
            ),
          ),
          h(
            "tbody",
            null,
            points
              .toReversed()
              .map((point) =>
                h(
                  "tr",
                  null,
                  h("th", { scope: "row" }, time(point.time)),
                  h("td", null, count(point.rows)),
                  h("td", null, number(point.symmetric_kl)),
                  h("td", null, point.alarm ? "alarm" : ""),
                ),
              ),
          ),
        ),
      ),
    ),
  ];
}

function predicted() {
  const found = known.drift?.classes;
  if (!found)
    return h("p", { class: "muted" }, known.card.labels ? "Nothing has been seen yet." : "This model has no classes.");
  if (!found.counts.some(Boolean)) return h("p", { class: "muted" }, "Nothing has been seen in this window.");
  return classes(found, chosen.allClasses, () => choose({ allClasses: !chosen.allClasses }));
}

// ---------------------------------------------------------------------------------------------------- the beginning

function listen() {
  addEventListener("hashchange", followAddress);
  element("forget").onclick = () => {
    forgetToken();
    draw();
  };
  const box = document.querySelector("section.trial");
  box.ondragover = (event) => {
    event.preventDefault();
    box.classList.add("over");
  };
  box.ondragleave = () => box.classList.remove("over");
  box.ondrop = (event) => {
    event.preventDefault();
    box.classList.remove("over");
    const file = imageOf(event.dataTransfer);
    if (file && known.card?.preprocessing) tryImage(file);
  };
  document.addEventListener("paste", (event) => {
    const file = imageOf(event.clipboardData);
    if (file && known.card?.preprocessing) tryImage(file);
  });
  // A file that misses the box must not replace the page.
  for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => event.preventDefault());
  let width = 0;
  new ResizeObserver(([{ contentRect }]) => {
    if (contentRect.width === width) return;
    width = contentRect.width;
    requestAnimationFrame(draw);
  }).observe(element("main"));
  document.addEventListener("visibilitychange", () => document.hidden || refresh());
  events.listen(told);
}

theme.install(element("theme"));
askWith(askForToken);
Object.assign(chosen, readAddress());
listen();
refresh();
setInterval(() => document.hidden || refresh(), EVERY);
