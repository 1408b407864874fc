/*
 * One job: curves, events, configuration, weights, activity; and what may be done with it. What happens arrives by the page's one stream.
 */
import { ACTIONS } from "./actions.js";
import { activityShow } from "./activity.js";
import { analysesShow } from "./analyses.js";
import { download, get } from "./api.js";
import { captionEdit, tagLink } from "./caption.js";
import { catalog, parametersOf } from "./catalog.js";
import { ruleStyle, swatch } from "./colours.js";
import { curvesShow } from "./curves.js";
import { attempt, badge, bytes, clock, duration, oncePerFrame, h, jobName, lossText, notice, number, percent, ruleName, statusOf, taskName } from "./dom.js";
import { jobOf, jobPut, jobRefresh, onEvent, onJobs, onOpened } from "./jobs.js";
import { loadInto } from "./load.js";
import { weightsShow } from "./weights.js";

const SILENT_MS = 3000, // ms without an event after which a running job is read anew: within a long evaluation there are none
  EVENTS_SHOWN = 200,
  EVENTS_PAGE = 1000;
const SECTIONS = ["task", "network", "rule", "optimizer", "training"];

function actions(job, leave) {
  const path = `/v1/jobs/${job.id}`;
  const button = (text, does, kind = "quiet") => h("button", { type: "button", class: kind, onclick: does }, text);
  const save = (text, tail, name, accept) => button(text, () => attempt(() => download(path + tail, name, accept)));
  const act = (action) =>
    attempt(async () => {
      if (action.danger && !window.confirm(`${action.text} ${jobName(job)} with its events, curve and weights?`)) return;
      const answer = action.ask?.([job]);
      if (answer === null) return;
      const now = await action.act(job, answer);
      if (action.danger) leave();
      else if (now && now.id !== job.id) location.hash = `#/jobs/${now.id}`;
      else notice(`${jobName(job)}: ${action.done}`);
    });
  const may = Object.values(ACTIONS)
    .filter((action) => action.fits(job))
    .map((action) => button(action.text, () => act(action), action.danger ? "danger" : "quiet"));
  const saves = [
    save("Weights, JSON", "/weights", `${job.id}.json`),
    save("Weights, safetensors", "/weights?format=safetensors", `${job.id}.safetensors`, "*/*"),
    save("Curve, CSV", "/metrics", `${job.id}.csv`, "text/csv"),
  ];
  return [
    ...may.filter((b) => b.className !== "danger"),
    h("a", { class: "button quiet", href: `#/new/${job.id}` }, "Use as a template"),
    button("Name and tags", () => captionEdit(jobOf(job.id) ?? job)),
    ...(job.progress.iteration > 0 ? saves : []),
    ...(job.status === "succeeded" ? [save("Manifest", "/manifest", `${job.id}.manifest.json`)] : []),
    ...may.filter((b) => b.className === "danger"),
  ];
}

/* A task of values has a loss and no accuracy. */
const answered = ({ loss, accuracy }) => loss === null || accuracy !== null;

function facts(job) {
  const left = job.progress.estimated_finish ? (new Date(job.progress.estimated_finish) - Date.now()) / 1000 : null;
  const { evaluating } = job.progress,
    took = job.started_at ? ((job.finished_at ? new Date(job.finished_at) : Date.now()) - new Date(job.started_at)) / 1000 : null;
  const list = [
    ["Task", taskName(job)],
    ["Rule", [swatch(ruleStyle(job.rule.type)), " ", ruleName(job)]],
    ["Seed", String(job.seed)],
    ["Iteration", `${number(job.progress.iteration, 9)} of ${number(job.progress.iterations, 9)}`],
    ["Loss", lossText(job, 4)],
    evaluating && ["Evaluating", `${number(evaluating.done, 9)} of ${number(evaluating.trials, 9)} trials`],
    answered(job.metrics) && ["Accuracy", percent(job.metrics.accuracy)],
    ["Trials per second", number(job.progress.trials_per_second)],
    ["Time", duration(took)],
    left > 0 && ["Left", duration(left)],
    ["Attempt", String(job.attempt)],
    job.experiment && ["Experiment", h("a", { href: `#/experiments/${job.experiment.id}?point=${job.experiment.point}` }, `point ${job.experiment.point}`)],
    job.tags?.length > 0 && ["Tags", job.tags.map((tag) => [tagLink(tag), " "])],
    job.notes && ["Notes", h("span", { class: "notes" }, job.notes)],
    job.origin && ["Made from", h("a", { href: `#/jobs/${job.origin.job}` }, `${job.origin.kind} of ${job.origin.job.slice(-12)}`)],
    job.queue_position > 0 && ["Place in the queue", String(job.queue_position)],
  ];
  return list.filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", { class: "num" }, value)));
}

function eventText(event) {
  if (event.type === "progress")
    return `iteration ${number(event.iteration, 9)}: ${event.loss === null ? "no loss, nothing counted" : `loss ${number(event.loss, 4)}`}${answered(event) ? `, accuracy ${percent(event.accuracy)}` : ""}`;
  if (event.type === "checkpoint")
    return `checkpoint of iteration ${number(event.iteration, 9)}, ${bytes(event.size)}, ${event.sha256.slice(0, 12)}`;
  if (event.type === "status")
    return [event.status, event.reason, event.error && (event.error.detail || event.error.code)].filter(Boolean).join(": ");
  return event.message || event.detail || event.type;
}

function eventsShow(job, signal) {
  const list = h("ol", { class: "events", tabindex: "0", "aria-label": "Events, the newest first" });
  let last = 0,
    newest = 0,
    loading = null;
  const add = (event) => {
    if (event.id <= last) return;
    last = event.id;
    list.prepend(h("li", { class: event.type }, h("time", { datetime: event.time }, clock(event.time)), ` ${eventText(event)}`));
    while (list.childElementCount > EVENTS_SHOWN) list.lastElementChild.remove();
  };
  /* About as many events as there are evaluations and checkpoints: begin near the end of a long job. */
  const load = () => {
    loading ??= attempt(readOn).then((whole) => {
      loading = null;
      if (whole && newest > last && !signal.aborted) load();
    });
  };
  const readOn = async () => {
    let after = Math.max(0, last, Math.floor(job.progress.iteration / job.training.evaluate_every) - EVENTS_SHOWN);
    for (;;) {
      const page = await get(`/v1/jobs/${job.id}/events?limit=${EVENTS_PAGE}&after=${after}`, signal);
      page.events.forEach(add);
      if (page.events.length < EVENTS_PAGE) return true;
      after = page.events.at(-1).id;
    }
  };
  load();
  return {
    element: h("section", { "aria-labelledby": "events" }, h("h2", { id: "events" }, "Events"), list),
    /** The stream's next event; where it is not the next, what lies between is read first. */
    add(event) {
      newest = Math.max(newest, event.id);
      if (event.id === last + 1) add(event);
      else if (event.id > last) load();
    },
    load,
  };
}

const plain = (value) => (typeof value === "string" ? value : value === null ? "none" : JSON.stringify(value));

/** A parameter's value with its unit, marked where it is not the default. */
function valueShow(value, parameter) {
  const unit = parameter?.unit && value !== null ? ` ${parameter.unit}` : "",
    known = parameter && "default" in parameter,
    changed = known && JSON.stringify(value) !== JSON.stringify(parameter.default ?? null);
  return h(
    "dd",
    { class: `num${changed ? " changed" : ""}` },
    plain(value) + unit,
    changed ? h("span", { class: "default" }, ` default ${plain(parameter.default ?? null)}`) : null,
  );
}

function configurationShow(job) {
  const parts = h("dl", { class: "parts" });
  const rows = (values, known) =>
    h(
      "dl",
      { class: "config" },
      Object.entries(values).map(([name, value]) => [
        h("dt", { title: known?.[name]?.description ?? null }, name),
        valueShow(value, known?.[name]),
      ]),
    );
  const draw = (known) => {
    const own = { name: job.name, seed: job.seed, threads: job.threads, priority: job.priority, time_limit: job.time_limit };
    const made = { config_sha256: job.config_sha256, build: job.build ?? "", instruction_set: job.instruction_set ?? "" };
    parts.replaceChildren(
      ...[
        ...SECTIONS.map((section) => [section, rows(job[section], known?.[section])]),
        ["job", rows(own)],
        Object.keys(job.metadata || {}).length ? ["metadata", rows(job.metadata)] : null,
        ["made by", rows(made)],
      ]
        .filter(Boolean)
        .flatMap(([name, list]) => [h("dt", {}, name), h("dd", {}, list)]),
    );
  };
  draw(null);
  /* Units and defaults come with the catalogue; without it the values stand alone. */
  catalog().then(
    (all) => draw(parametersOf(all, job.task.type, job.rule.type, job.network.model)),
    () => {},
  );
  return h(
    "section",
    { "aria-labelledby": "configuration" },
    h("h2", { id: "configuration" }, "Configuration"),
    h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "All parameters" }, parts),
  );
}

/** A section that computes only when opened: weights and activity of large networks cost. */
function lazy(title, id, fill) {
  const body = h("div", {});
  let begun = false;
  const open = (event) => {
    if (!event.target.open || begun) return;
    begun = true;
    fill(body);
  };
  return h("details", { class: "lazy", id, ontoggle: open }, h("summary", {}, h("h2", {}, title)), body);
}

/** Title, what may be done, and the facts; drawn anew when the job changes. */
function headShow(id, leave) {
  const title = h("div", {}),
    buttons = h("div", { class: "actions" }),
    list = h("dl", { class: "facts" }),
    fault = h("div", { role: "alert" });
  let shown = null;
  return {
    element: h("div", { class: "job-head" }, title, buttons, fault, list),
    draw() {
      const job = jobOf(id);
      if (!job) return;
      document.title = `${jobName(job)} – modprop`;
      /* Buttons stay the same elements while the same may be done: a press must not fall between two of them. */
      const may = `${job.status} ${job.progress.iteration > 0}`;
      if (may !== shown) {
        const kept = buttons.contains(document.activeElement) ? document.activeElement.textContent : null;
        buttons.replaceChildren(...actions(job, leave));
        if (kept) [...buttons.children].find((b) => b.textContent === kept)?.focus();
        shown = may;
      }
      title.replaceChildren(
        h("div", { class: "title" }, h("h1", {}, jobName(job)), badge(statusOf(job)), h("span", { class: "id" }, job.id)),
        h("progress", { max: 1, value: job.progress.fraction, "aria-label": "Progress" }),
      );
      list.replaceChildren(...facts(job));
      const diverged = job.outcome === "diverged" ? "diverged: the loss ended above three times its loss at iteration 0" : "";
      const said = job.error ? `${job.error.code || "failed"}: ${job.error.detail || ""}` : diverged;
      if (fault.textContent !== said) {
        fault.textContent = said;
        fault.className = said ? "fault" : "";
      }
    },
  };
}

/** Shows job `id` in `place` until `signal`. */
export function jobShow(place, id, signal) {
  const leave = () => {
    location.hash = "#/jobs";
  };
  let parts = null,
    heard = Date.now();
  const head = headShow(id, leave),
    drawSoon = oncePerFrame(() => signal.aborted || !parts || head.draw());
  const build = (job) => {
    const curves = curvesShow(job, signal),
      events = eventsShow(job, signal);
    parts = { curves, events };
    place.replaceChildren(
      head.element,
      ...curves.elements,
      lazy("Weights and spectrum", "weights", (body) => weightsShow(body, jobOf(id) ?? job, signal)),
      lazy("Activity on fresh trials", "activity", (body) => activityShow(body, jobOf(id) ?? job, signal)),
      lazy("Analyses", "analyses", (body) => analysesShow(body, jobOf(id) ?? job, signal)),
      h("div", { class: "two" }, events.element, configurationShow(job)),
    );
    head.draw();
  };
  loadInto(place, "No such job", signal, async () => {
    if (!jobOf(id)) jobPut(await get(`/v1/jobs/${id}`, signal));
    else jobRefresh(id);
    if (!signal.aborted) build(jobOf(id));
  });
  const ends = [
    onJobs((changed) => {
      if (changed !== id && changed !== null) return;
      if (parts && !jobOf(id)) leave();
      else drawSoon();
    }),
    onEvent((event) => {
      if (event.job !== id || !parts) return;
      heard = Date.now();
      parts.events.add(event);
      if (event.type === "progress") parts.curves.progress(event);
    }),
    /* What was missed while the daemon was gone, if it was more than the stream goes back. */
    onOpened(() => {
      if (!parts) return;
      parts.curves.load();
      parts.events.load();
    }),
  ];
  const timer = setInterval(() => {
    if (!document.hidden && jobOf(id)?.status === "running" && Date.now() - heard >= SILENT_MS) jobRefresh(id);
  }, SILENT_MS);
  signal.addEventListener("abort", () => {
    clearInterval(timer);
    ends.forEach((end) => end());
    if (parts) parts.curves.destroy();
  });
}
