/*
 * One job: curves, events, configuration, weights, activity; and what may be done with it. What happens arrives by the page's one stream.
 *
 * The curve is read once, thinned by the server to POINTS, and grows by events; when it has doubled it is read anew, so that a run of any
 * length stays quick.
 */
import { download, get, post, remove } from "./api.js";
import { activityShow } from "./activity.js";
import { chart, smooth } from "./charts.js";
import { attempt, badge, bytes, clock, duration, framed, h, jobName, notice, number, percent, ruleName } from "./dom.js";
import { jobForget, jobOf, jobPut, jobRefresh, onEvent, onJobs } from "./jobs.js";
import { weightsShow } from "./weights.js";

const POINTS = 1500,
  EVENTS_SHOWN = 200;
const ENDED = ["succeeded", "failed", "cancelled"];

function actions(job, leave) {
  const path = `/v1/jobs/${job.id}`;
  const act = (word) =>
    attempt(async () => {
      jobPut(await post(`${path}/${word}`));
      notice(`${jobName(job)}: ${word} asked for`);
    });
  const button = (text, does, kind = "quiet") => h("button", { type: "button", class: kind, onclick: does }, text);
  const save = (text, tail, name, accept) => button(text, () => attempt(() => download(path + tail, name, accept)));
  const list = [];
  if (["queued", "running"].includes(job.status)) list.push(button("Pause", () => act("pause")));
  if (["paused", "pausing"].includes(job.status)) list.push(button("Resume", () => act("resume"), "primary"));
  if (!ENDED.includes(job.status)) list.push(button("Cancel", () => act("cancel")));
  list.push(h("a", { class: "button quiet", href: `#/new/${job.id}` }, "Use as a template"));
  if (job.progress.iteration > 0) {
    list.push(
      save("Weights, JSON", "/weights", `${job.id}.json`),
      save("Weights, safetensors", "/weights?format=safetensors", `${job.id}.safetensors`, "*/*"),
      save("Curve, CSV", "/metrics", `${job.id}.csv`, "text/csv"),
    );
  }
  if (ENDED.includes(job.status)) {
    list.push(
      button(
        "Delete",
        () =>
          attempt(async () => {
            if (!window.confirm(`Delete ${jobName(job)} with its events, curve and weights?`)) return;
            await remove(path);
            jobForget(job.id);
            leave();
          }),
        "danger",
      ),
    );
  }
  return list;
}

function facts(job) {
  const left = job.progress.estimated_finish ? (new Date(job.progress.estimated_finish) - Date.now()) / 1000 : null;
  const took = job.started_at ? ((job.finished_at ? new Date(job.finished_at) : Date.now()) - new Date(job.started_at)) / 1000 : null;
  const list = [
    ["Task", job.task.type],
    ["Rule", ruleName(job)],
    ["Seed", String(job.seed)],
    ["Iteration", `${number(job.progress.iteration)} of ${number(job.progress.iterations)}`],
    ["Loss", number(job.metrics.loss, 4)],
    ["Accuracy", percent(job.metrics.accuracy)],
    ["Trials a second", number(job.progress.trials_per_second)],
    ["Time", duration(took)],
    left > 0 && ["Left", duration(left)],
    ["Attempt", String(job.attempt)],
    job.queue_position > 0 && ["Place in the queue", String(job.queue_position)],
  ];
  return list.filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", { class: "num" }, value)));
}

/** The two charts and their controls. */
function curvesShow(id) {
  const loss = chart("Loss", ["iteration", "evaluation", "training"]),
    accuracy = chart("Accuracy", ["iteration", "evaluation"], { valueRange: [0, 1.03] });
  const log = h("input", { type: "checkbox", id: "log", onchange: () => draw() });
  const span = h("input", { type: "range", id: "smooth", min: 1, max: 40, value: 1, oninput: () => draw() });
  const reset = h(
    "button",
    {
      type: "button",
      class: "quiet",
      onclick: () => {
        loss.zoomReset();
        accuracy.zoomReset();
      },
    },
    "Whole curve",
  );
  const empty = h("p", { class: "empty" }, "No evaluation yet: the first comes before the first update.");
  const charts = h("div", { class: "charts" }, loss.element, accuracy.element);
  let data = { iteration: [], loss: [], accuracy: [], training_loss: [] },
    ended = false;
  const draw = framed(() => {
    if (ended) return;
    const n = Number(span.value),
      some = data.iteration.length > 0;
    empty.hidden = some;
    charts.hidden = !some;
    const evaluation = smooth(data.loss, n),
      training = smooth(data.training_loss, n);
    loss.set(
      data.iteration.map((x, i) => [x, evaluation[i] ?? null, training[i] ?? null]),
      { logscale: log.checked },
    );
    const known = data.accuracy.some((value) => value !== null && value !== undefined);
    accuracy.element.hidden = !known;
    const values = smooth(data.accuracy, n);
    if (known) accuracy.set(data.iteration.map((x, i) => [x, values[i] ?? null]));
  });
  const load = () =>
    attempt(async () => {
      const read = await get(`/v1/jobs/${id}/metrics?points=${POINTS}`);
      const tail = data.iteration.length ? data.iteration.at(-1) : -1,
        kept = data;
      data = { iteration: read.iteration, loss: read.loss, accuracy: read.accuracy || [], training_loss: read.training_loss || [] };
      if (kept.iteration.length && (read.iteration.at(-1) ?? -1) < tail)
        kept.iteration.forEach((x, i) => x > (read.iteration.at(-1) ?? -1) && push(kept, i));
      draw();
    });
  const push = (from, i) => {
    for (const key of Object.keys(data)) data[key].push(from[key][i] ?? null);
  };
  load();
  return {
    element: h(
      "section",
      { "aria-labelledby": "curves" },
      h(
        "div",
        { class: "section" },
        h("h2", { id: "curves" }, "Curves"),
        h(
          "span",
          { class: "controls" },
          log,
          h("label", { for: "log" }, "log scale"),
          h("label", { for: "smooth" }, "smoothing"),
          span,
          reset,
        ),
      ),
      empty,
      charts,
      h("p", { class: "hint" }, "Drag across a curve to zoom, with shift to move; a double click shows all of it."),
    ),
    progress(event) {
      if (data.iteration.length && event.iteration <= data.iteration.at(-1)) return;
      push({ iteration: [event.iteration], loss: [event.loss], accuracy: [event.accuracy], training_loss: [event.training_loss] }, 0);
      if (data.iteration.length > 2 * POINTS) load();
      else draw();
    },
    reload: load,
    destroy() {
      ended = true;
      loss.destroy();
      accuracy.destroy();
    },
  };
}

function eventText(event) {
  if (event.type === "progress")
    return `iteration ${number(event.iteration)}: loss ${number(event.loss, 4)}, accuracy ${percent(event.accuracy)}`;
  if (event.type === "checkpoint")
    return `checkpoint of iteration ${number(event.iteration)}, ${bytes(event.size)}, ${event.sha256.slice(0, 12)}`;
  if (event.type === "status")
    return [event.status, event.reason, event.error && (event.error.detail || event.error.code)].filter(Boolean).join(": ");
  return event.message || event.detail || event.type;
}

function eventsShow(job) {
  const list = h("ol", { class: "events", tabindex: "0", "aria-label": "Events, the newest first" });
  let last = 0;
  const add = (event) => {
    if (event.id <= last) return;
    last = event.id;
    list.prepend(h("li", { class: event.type }, h("time", { datetime: event.time }, clock(event.time)), ` ${eventText(event)}`));
    while (list.childElementCount > EVENTS_SHOWN) list.lastElementChild.remove();
  };
  /* About as many events as there are evaluations and checkpoints: begin near the end of a long job. */
  const load = () =>
    attempt(async () => {
      const training = job.training,
        done = job.progress.iteration;
      let after = Math.max(0, last, Math.floor(done / training.evaluate_every) - EVENTS_SHOWN);
      for (;;) {
        const page = await get(`/v1/jobs/${job.id}/events?limit=1000&after=${after}`);
        page.events.forEach(add);
        if (page.events.length < 1000) return;
        after = page.events.at(-1).id;
      }
    });
  load();
  return { element: h("section", { "aria-labelledby": "events" }, h("h2", { id: "events" }, "Events"), list), add, load };
}

function configurationShow(job) {
  const part = (name, object) => [
    h("dt", {}, name),
    h(
      "dd",
      {},
      typeof object === "object" && object !== null
        ? h(
            "dl",
            { class: "config" },
            Object.entries(object).map(([k, v]) => [h("dt", {}, k), h("dd", { class: "num" }, JSON.stringify(v))]),
          )
        : JSON.stringify(object),
    ),
  ];
  return h(
    "section",
    { "aria-labelledby": "configuration" },
    h("h2", { id: "configuration" }, "Configuration"),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "group", "aria-label": "All parameters" },
      h(
        "dl",
        { class: "parts" },
        ["task", "network", "rule", "optimizer", "training"].map((name) => part(name, job[name])),
        part("metadata", job.metadata),
        part("config_sha256", job.config_sha256),
        part("build", `${job.build ?? ""} ${job.instruction_set ?? ""}`.trim()),
      ),
    ),
  );
}

/** A section that computes only when opened: weights and activity of large networks cost. */
function lazy(title, id, fill) {
  const body = h("div", {}),
    end = { call: null };
  const details = h(
    "details",
    {
      class: "lazy",
      id,
      ontoggle: () => {
        if (details.open && !end.call) end.call = fill(body) || (() => {});
      },
    },
    h("summary", {}, h("h2", {}, title)),
    body,
  );
  return {
    element: details,
    destroy() {
      if (end.call) end.call();
    },
  };
}

/** Shows job `id` in `place`; returns what ends the view. */
export function jobShow(place, id) {
  const leave = () => {
    location.hash = "#/";
  };
  let parts = null,
    ended = false;
  const head = h("div", {}),
    fault = h("div", { role: "alert" });
  const title = h("div", {}),
    buttons = h("div", { class: "actions" }),
    list = h("dl", { class: "facts" });
  let shown = null;
  head.append(title, buttons, list);
  const drawHead = () => {
    const job = jobOf(id);
    if (!job || ended) return;
    document.title = `${jobName(job)} – modprop`;
    const bar = h("progress", { max: 1, value: job.progress.fraction, "aria-label": "Progress" });
    /* Buttons stay the same elements while the same may be done: a press must not fall between two of them. */
    const may = `${job.status} ${job.progress.iteration > 0}`;
    if (may !== shown) {
      const kept = buttons.contains(document.activeElement) ? document.activeElement.textContent : null;
      buttons.replaceChildren(...actions(job, leave));
      if (kept) [...buttons.children].find((b) => b.textContent === kept)?.focus();
      shown = may;
    }
    title.replaceChildren(
      h("div", { class: "title" }, h("h1", {}, jobName(job)), badge(job.status), h("span", { class: "id" }, job.id)),
      bar,
    );
    list.replaceChildren(...facts(job));
    const said = job.error ? `${job.error.code || "failed"}: ${job.error.detail || ""}` : "";
    if (fault.textContent !== said) {
      fault.textContent = said;
      fault.className = said ? "fault" : "";
    }
  };
  const build = () => {
    const job = jobOf(id);
    const curves = curvesShow(id),
      events = eventsShow(job);
    const weights = lazy("Weights and spectrum", "weights", (body) => weightsShow(body, jobOf(id)));
    const activity = lazy("Activity on fresh trials", "activity", (body) => activityShow(body, jobOf(id)));
    parts = { curves, events, weights, activity };
    place.replaceChildren(
      head,
      fault,
      curves.element,
      weights.element,
      activity.element,
      h("div", { class: "two" }, events.element, configurationShow(job)),
    );
    drawHead();
  };
  const start = async () => {
    if (!jobOf(id)) jobPut(await get(`/v1/jobs/${id}`));
    else jobRefresh(id);
    if (!ended) build();
  };
  start().catch((error) =>
    place.replaceChildren(
      h("div", { class: "empty" }, h("h1", {}, "No such job"), h("p", {}, error.message), h("a", { href: "#/" }, "All jobs")),
    ),
  );
  const drawSoon = framed(drawHead);
  const endJobs = onJobs((changed) => {
    if (changed === id || changed === null) {
      if (parts && !jobOf(id)) leave();
      else drawSoon();
    }
  });
  const endEvents = onEvent((event) => {
    if (event.job !== id || !parts) return;
    parts.events.add(event);
    if (event.type === "progress") parts.curves.progress(event);
  });
  return () => {
    ended = true;
    endJobs();
    endEvents();
    if (parts) for (const key of ["curves", "weights", "activity"]) parts[key].destroy();
  };
}
