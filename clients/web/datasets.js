/*
 * Datasets: what there is, in which versions, which jobs rest on them, and how much they occupy; one's own are uploaded and deleted here. A job
 * keeps the version that it was accepted with, whatever becomes of the name.
 */
import { download, get, remove, upload } from "./api.js";
import { attempt, bytes, clock, integerText, h, jobName, notice, percent } from "./dom.js";
import { jobOf, onOpened } from "./jobs.js";
import { loadInto } from "./load.js";

const PAGE = 1000,
  JOBS_SHOWN = 50;
const count = (n, word) => `${integerText(n)} ${word}${n === 1 ? "" : "s"}`;
const pathOf = (name) => `/v1/datasets/${encodeURIComponent(name)}`;

/** All datasets, page by page, with the totals of the last page. */
export async function datasetsRead(signal) {
  const datasets = [];
  let page = null;
  do {
    page = await get(`/v1/datasets?limit=${PAGE}${page ? `&after=${encodeURIComponent(page.next)}` : ""}`, signal);
    datasets.push(...page.datasets);
  } while (page.next);
  return { ...page, datasets };
}

/** "12 steps × 30 trials × 3 inputs"; spikes come at ticks. */
export const shapeText = (d) =>
  d.kind === "weights"
    ? `weights of ${count(d.units, "unit")} × ${count(d.inputs, "input")} × ${count(d.outputs, "output")}`
    : `${count(d.steps, d.spikes ? "tick" : "step")} × ${count(d.trials, "trial")} × ${count(d.inputs, "input")}`;
const answersText = (d) => (d.loss === "cross_entropy" ? count(d.outputs, "class").replace("classs", "classes") : count(d.outputs, "value"));

/** What holds a version: its jobs, read when asked for. */
function holders(dataset, version, signal) {
  const place = h("span", {});
  if (!version.jobs) return "no job";
  const show = () =>
    attempt(async () => {
      const { jobs, next } = await get(`${pathOf(dataset.name)}/jobs?sha256=${version.sha256}&limit=${JOBS_SHOWN}`, signal);
      const link = (id) => h("a", { href: `#/jobs/${id}` }, jobOf(id) ? jobName(jobOf(id)) : id.slice(-12));
      place.replaceChildren(...jobs.flatMap((id, i) => [i ? ", " : "", link(id)]), next ? ", …" : "");
    });
  place.append(h("button", { type: "button", class: "quiet", onclick: show }, count(version.jobs, "job")));
  return place;
}

function versionsTable(dataset, signal) {
  const heads = ["Version", "Stored", "Size", "By", "Held by"];
  const row = (version) =>
    h(
      "tr",
      {},
      h("th", { scope: "row", title: version.sha256 }, h("code", {}, version.sha256.slice(0, 12)), version.newest ? " newest" : ""),
      [clock(version.created_at), bytes(version.size), version.put_by || "–", holders(dataset, version, signal)].map((cell, i) =>
        h("td", { "data-column": heads[i + 1] }, cell),
      ),
    );
  const hidden = dataset.version_count - dataset.versions.length;
  return [
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": `Versions of ${dataset.name}` },
      h("table", {}, h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, dataset.versions.map(row))),
    ),
    hidden > 0 ? h("p", { class: "hint" }, `${count(hidden, "older version")} not shown.`) : null,
  ];
}

function datasetShow(dataset, again, signal) {
  const drop = () =>
    attempt(async () => {
      const held = dataset.versions.reduce((sum, v) => sum + v.jobs, 0),
        rest = held ? ` ${count(held, "job")} ${held === 1 ? "keeps its" : "keep their"} version of it.` : "";
      if (!window.confirm(`Delete the dataset ${dataset.name} with ${count(dataset.version_count, "version")}?${rest}`)) return;
      await remove(pathOf(dataset.name));
      notice(`${dataset.name}: deleted`);
      again();
    });
  const isWeights = dataset.kind === "weights",
    said = `${count(dataset.version_count, "version")}, ${bytes(dataset.stored_bytes)} on disk`,
    save = () => attempt(() => download(pathOf(dataset.name), `${dataset.name}.safetensors`, "application/octet-stream"));
  const shares = dataset.test_trials ? `, and ${count(dataset.test_trials, "test trial")}` : "",
    spikes = dataset.spikes ? `; ${count(dataset.spikes + dataset.test_spikes, "spike")}, ${integerText(Math.round(dataset.spikes / dataset.trials))} a trial` : "",
    counted = dataset.mask ? `; a mask counts ${percent(dataset.counted / (dataset.steps * dataset.trials))} of the steps` : "";
  return h(
    "section",
    { "aria-label": dataset.name, class: "dataset" },
    h(
      "div",
      { class: "section" },
      h("h2", { class: "dataset-name" }, dataset.name),
      h(
        "span",
        { class: "controls" },
        isWeights ? null : h("a", { class: "button quiet", href: `#/new?dataset=${encodeURIComponent(dataset.name)}` }, "Train on it"),
        h("button", { type: "button", class: "quiet", onclick: save }, "Download"),
        h("button", { type: "button", class: "danger", onclick: drop }, "Delete"),
      ),
    ),
    isWeights
      ? h("p", {}, `${shapeText(dataset)}, for a job's network.initial: {"weights": "${dataset.name}"}.`)
      : h("p", {}, `${shapeText(dataset)}${shares}${spikes}; ${answersText(dataset)} to answer${counted}.`),
    h("p", { class: "hint" }, isWeights ? `${said}.` : `${said}; ${bytes(dataset.memory_bytes)} of memory in training.`),
    versionsTable(dataset, signal),
  );
}

/** The form that uploads a file; `again` is called when it is there. */
function uploadMake(again, signal) {
  const name = h("input", { id: "dataset-name", autocomplete: "off", spellcheck: "false", "aria-describedby": "dataset-said" }),
    file = h("input", { id: "dataset-file", type: "file", accept: ".safetensors", onchange: () => suggest() }),
    bar = h("progress", { max: 1, value: 0, hidden: true, "aria-label": "Upload" }),
    said = h("p", { class: "hint", id: "dataset-said", role: "status" }),
    go = h("button", { class: "primary" }, "Upload");
  const suggest = () => {
    if (!name.value && file.files[0]) name.value = file.files[0].name.replace(/\.safetensors$/, "").replace(/[^\w.-]+/g, "_").replace(/^\.+/, "").slice(0, 64);
  };
  const say = (text, bad = false) => {
    said.textContent = text;
    said.classList.toggle("bad", bad);
  };
  const send = async () => {
    const [chosen] = file.files;
    if (!chosen || !name.value.trim()) return say("Choose a file and a name.", true);
    go.disabled = true;
    bar.hidden = false;
    try {
      const made = await upload(pathOf(name.value.trim()), chosen, (share) => {
        bar.value = share;
        say(share < 1 ? `${percent(share)} of ${bytes(chosen.size)} sent` : "Sent; the daemon is checking it.");
      }, signal);
      say(`${made.name}: ${shapeText(made)}, version ${made.sha256.slice(0, 12)}`);
      file.value = "";
      again();
    } catch (error) {
      if (error.name !== "AbortError") say(error.sentence?.() ?? String(error), true);
    } finally {
      go.disabled = false;
      bar.hidden = true;
    }
    return undefined;
  };
  const submit = (event) => {
    event.preventDefault();
    send();
  };
  return h(
    "section",
    { "aria-labelledby": "upload" },
    h("h2", { id: "upload" }, "Upload"),
    h(
      "p",
      { class: "hint" },
      "A safetensors file with inputs (steps, trials, inputs) or spikes (spikes_trials, spikes_times, spikes_units, with shape in the metadata), " +
        "targets (trials, or steps and trials, for classes; steps, trials, outputs for values), and, if you like, a mask (steps, trials) of what counts " +
        "and a test split (test_inputs, test_targets, test_mask). Or weights to start from: W, Win, Wout, bout, and b. A name that exists gets a new version.",
    ),
    h(
      "form",
      { class: "controls upload", onsubmit: submit },
      h("label", { for: "dataset-file" }, "File"),
      file,
      h("label", { for: "dataset-name" }, "Name"),
      name,
      go,
    ),
    bar,
    said,
  );
}

/** Shows the page in `place` until `signal`. */
export function datasetsShow(place, signal) {
  const stage = h("div", { class: "datasets" }),
    summary = h("p", { class: "hint", role: "status" });
  const again = () =>
    loadInto(stage, "There are no datasets", signal, async () => {
      const { datasets, total, unnamed } = await datasetsRead(signal);
      if (signal.aborted) return;
      const kept = unnamed.versions ? `; ${count(unnamed.versions, "version")} without a name (${bytes(unnamed.bytes)}) that jobs hold` : "";
      summary.textContent = `${count(total.datasets, "dataset")}, ${count(total.versions, "version")}, ${bytes(total.bytes)}${kept}.`;
      if (datasets.length) stage.replaceChildren(...datasets.map((d) => datasetShow(d, again, signal)));
      else stage.replaceChildren(h("p", { class: "empty" }, "No dataset yet. Upload one above, or with curl, the command modprop or Python."));
    });
  place.replaceChildren(h("h1", {}, "Datasets"), uploadMake(again, signal), summary, stage);
  again();
  signal.addEventListener("abort", onOpened(again));
}
