/*
 * What evaluations report: how each quantity is called and drawn, and which of them an experiment has. Pure.
 */
import { number, percent } from "./dom.js";

const FRACTION = { percent: true, limits: [0, 1] },
  COSINE = { of: "cosine", limits: [-1, 1] },
  FIT = { of: "fit", limits: [-Infinity, 1] },
  NORM = { of: "norms", log: true },
  SECONDS = { of: "phases", unit: "s" };

/** By key: {name, of (the diagnostic that a job must ask for), percent, limits (possible values), log, unit}. */
export const QUANTITIES = {
  loss: { name: "loss", limits: [0, Infinity] },
  accuracy: { name: "accuracy", ...FRACTION },
  training_loss: { name: "training loss", limits: [0, Infinity] },
  learning_rate: { name: "learning rate", limits: [0, Infinity] },
  cosine_all: { name: "cosine with the gradient of bptt", ...COSINE },
  cosine_W: { name: "cosine, W", ...COSINE },
  cosine_Win: { name: "cosine, Win", ...COSINE },
  cosine_Wout: { name: "cosine, Wout", ...COSINE },
  cosine_b: { name: "cosine, b", ...COSINE },
  spectral_radius: { name: "spectral radius of W", of: "spectral_radius", limits: [0, Infinity] },
  mean_psi: { name: "mean ψ", of: "psi", limits: [0, 1] },
  silent_fraction: { name: "silent units", of: "psi", ...FRACTION },
  gradient_norm_W: { name: "gradient norm, W", ...NORM },
  gradient_norm_Win: { name: "gradient norm, Win", ...NORM },
  gradient_norm_Wout: { name: "gradient norm, Wout", ...NORM },
  fit_share: { name: "fitted filter: share explained, fitted trials", ...FIT },
  fit_share_unseen: { name: "fitted filter: share explained", ...FIT },
  fit_cosine: { name: "fitted filter: cosine of credit", ...FIT },
  fit_cosine_dW: { name: "fitted filter: cosine, W", ...FIT },
  fit_share_dW: { name: "fitted filter: share explained of dW beyond e-prop's", ...FIT },
  fit_cosine_dW_nonlocal: { name: "fitted filter: cosine of dW beyond e-prop's", ...FIT },
  seconds_trials: { name: "time of trials", ...SECONDS },
  seconds_forward: { name: "time of the forward pass", ...SECONDS },
  seconds_credit: { name: "time of credit", ...SECONDS },
  seconds_gradient: { name: "time of the gradient", ...SECONDS },
  seconds_optimizer: { name: "time of the optimizer", ...SECONDS },
};

export const quantityOf = (key) => QUANTITIES[key] ?? { name: key.replaceAll("_", " ") };

/** The diagnostics that any trial of an experiment asks for, and "fit" where one fits a filter's taps. */
function diagnosticsOf({ base, axes = [], points = [] }) {
  const patches = [...axes.flatMap((axis) => axis.patches ?? []), ...points],
    given = [base?.training?.diagnostics, ...patches.flatMap((p) => [p["/training/diagnostics"], p["/training"]?.diagnostics])].filter(Boolean);
  const fits = [base?.rule?.taps, ...patches.flatMap((p) => [p["/rule"]?.taps, p["/rule/taps"]])].some((taps) => taps?.fit);
  const all = Object.values(QUANTITIES).map(({ of }) => of);
  return new Set([...(given.includes(true) ? all.filter((of) => of !== "fit") : given.flat()), ...(fits ? ["fit"] : [])]);
}

/** Keys of the curves that trials of this specification have. */
export function keysOf(specification) {
  const named = diagnosticsOf(specification);
  return Object.keys(QUANTITIES).filter((key) => !QUANTITIES[key].of || named.has(QUANTITIES[key].of));
}

/** A value of a quantity as text; "never" and dashes among them. */
export function quantityText(value, { percent: share } = {}, digits = 3) {
  if (typeof value === "string") return value;
  return share ? percent(value) : number(value, digits);
}

/* ---- metrics ---- */

const KINDS = { final: "final", best: "best", area: "mean over training of" };

/** A metric as the API's query writes it, "final:loss" or "loss_below:0.1:5", as {kind, key, threshold, row}; null where it is the name of one. */
export function metricRead(text) {
  const [head, ...rest] = text.split(":");
  if (KINDS[head] && rest.length === 1) return { kind: head, key: rest[0] };
  const found = /^(.+)_(below|above)$/.exec(head);
  return found && rest.length ? { kind: found[2], key: found[1], threshold: rest[0], row: rest[1] ?? "1" } : null;
}

/** A metric of a specification in the same form. */
function metricOf(document) {
  for (const kind of Object.keys(KINDS)) if (document[kind]) return { kind, key: document[kind] };
  const name = Object.keys(document).find((key) => /_(below|above)$/.test(key)),
    [, key, kind] = /^(.+)_(below|above)$/.exec(name ?? "loss_below");
  return { kind, key, threshold: String(document[name]), row: String(document.in_a_row ?? 1), in: document.in };
}

/** What a metric is: {text, kind, key, quantity (how its values are written)}. `named` are the specification's metrics. */
export function metricAbout(text, named, unit = "iterations") {
  const own = named.find((document) => metricName(document) === text),
    read = own ? metricOf(own) : (metricRead(text) ?? { kind: "final", key: "loss" }),
    quantity = quantityOf(read.key);
  if (KINDS[read.kind]) {
    const said = `${KINDS[read.kind]} ${quantity.name}`;
    return { ...read, own: Boolean(own), text: own?.name ? `${text}: ${said}` : said, quantity };
  }
  const at = read.in ?? (own ? "iterations" : unit),
    row = read.row === "1" ? "" : `, ${read.row} in a row`,
    said = `${at} until ${quantity.name} ${read.kind} ${read.threshold}${row}`;
  return { ...read, own: Boolean(own), text: own ? `${text}: ${said}` : said, quantity: { name: at, learned: true } };
}

/** What the server calls a metric of a specification. */
export function metricName(document) {
  if (document.name) return document.name;
  const { kind, key } = metricOf(document);
  return KINDS[kind] ? `${kind}_${key}` : "learned";
}
