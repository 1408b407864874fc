/*
 * All jobs that the page knows, kept up to date by the event stream. Views subscribe and draw from here. None polls but the
 * page of a job within a long evaluation, of which no event reports.
 *
 * The list is read in pages once a view wants it and the stream has opened, so that what happens meanwhile arrives as events; a page that shows one
 * experiment of 100,000 trials does not read them. An event for a job that is
 * not known yet, and a status event (it changes more fields than it names), read the job anew, a few at a time.
 */
import { get } from "./api.js";

const PAGE = 100,
  READERS = 4;
const jobs = new Map();
const listeners = new Set(),
  eventListeners = new Set(),
  experimentListeners = new Set(),
  openListeners = new Set();
const stale = new Set();
let state = "connecting",
  order = [],
  reading = 0,
  loaded = false,
  wanted = false,
  opened = false,
  generation = 0;

export const jobsLoaded = () => loaded;
/** How the stream fares: "connecting", "live", "reconnecting" or "token needed". */
export const streamState = () => state;
export function streamStateSet(word) {
  state = word;
  changed(null);
}
export const jobOf = (id) => jobs.get(id);
/** Newest first: ids sort by time. A list of the caller's own; thousands are sorted again only when one came or went. */
export function jobsNewest() {
  if (order.length !== jobs.size) order = [...jobs.keys()].sort().reverse();
  return order.map((id) => jobs.get(id));
}
function keep(job) {
  if (!jobs.has(job.id)) order = [];
  jobs.set(job.id, job);
}
function drop(id) {
  if (jobs.delete(id)) order = [];
}
function changed(id) {
  for (const listener of listeners) listener(id);
}
function subscribe(set, listener) {
  set.add(listener);
  return () => set.delete(listener);
}
/** Each returns what ends the subscription: to changes of jobs (their id, or null for many), to their events, to events of experiments, to the stream's being open again. */
export const onJobs = (listener) => subscribe(listeners, listener);
export const onEvent = (listener) => subscribe(eventListeners, listener);
export const onExperimentEvent = (listener) => subscribe(experimentListeners, listener);
export const onOpened = (listener) => subscribe(openListeners, listener);

export function jobPut(job) {
  keep(job);
  changed(job.id);
}
/** Something that all jobs are drawn with has changed. */
export const jobsTouched = () => changed(null);
export function jobForget(id) {
  drop(id);
  stale.delete(id);
  changed(id);
}

function readStale() {
  while (stale.size && reading < READERS) {
    const id = stale.values().next().value;
    stale.delete(id);
    reading++;
    get(`/v1/jobs/${id}`)
      .then(jobPut, (error) => {
        if (error.status === 404) jobForget(id);
      })
      .finally(() => {
        reading--;
        readStale();
      });
  }
}
export function jobRefresh(id) {
  stale.add(id);
  readStale();
}

/** Reads every page; a job that is no longer listed is forgotten. */
export async function jobsLoad() {
  const mine = ++generation,
    seen = new Set(),
    before = new Set(jobs.keys());
  let after = null;
  do {
    const page = await get(`/v1/jobs?limit=${PAGE}${after ? `&after=${encodeURIComponent(after)}` : ""}`);
    if (mine !== generation) return;
    for (const job of page.jobs) {
      seen.add(job.id);
      keep(job);
    }
    after = page.next;
    changed(null);
  } while (after);
  for (const id of before) if (!seen.has(id)) drop(id);
  loaded = true;
  changed(null);
}

/** A view shows all jobs: from now on they are known. */
export function jobsRequest() {
  if (wanted) return;
  wanted = true;
  if (opened) jobsLoad().catch(() => {});
}

/** The stream is open: whatever could not be read before can be now. */
export function jobsOpened() {
  opened = true;
  if (wanted) jobsLoad().catch(() => {});
  else for (const id of jobs.keys()) jobRefresh(id);
  for (const listener of openListeners) listener();
}

/** Takes an event of the stream. */
export function jobsEvent(event) {
  if (event.experiment) {
    for (const listener of experimentListeners) listener(event);
    return;
  }
  const job = jobs.get(event.job);
  if (event.type === "deleted") jobForget(event.job);
  else if (event.type === "changed" && (job || wanted)) jobRefresh(event.job);
  else if (job ? event.type === "status" : wanted) {
    if (job) {
      job.status = event.status;
      changed(job.id);
    }
    jobRefresh(event.job);
  } else if (job && event.type === "progress") {
    const total = job.progress.iterations,
      left = ((total - event.iteration) * job.training.batch_size) / event.trials_per_second;
    Object.assign(job.progress, {
      iteration: event.iteration,
      fraction: total ? event.iteration / total : 0,
      trials_per_second: event.trials_per_second,
      estimated_finish: left > 0 && Number.isFinite(left) ? new Date(Date.parse(event.time) + 1000 * left).toISOString() : null,
    });
    Object.assign(job.metrics, { loss: event.loss, accuracy: event.accuracy });
    changed(job.id);
  }
  for (const listener of eventListeners) listener(event);
}
