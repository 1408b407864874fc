/*
 * The HTTP contract from a page: requests, problem documents, the event stream.
 *
 * fetch rather than EventSource, since EventSource cannot send a token and hides why it failed. The stream goes on from the last
 * `seq` it saw (Last-Event-ID), so a restart of the daemon loses nothing and needs no reload.
 */
const TOKEN = "modprop-token";
const BACKOFF_FIRST = 250,
  BACKOFF_MAX = 8000; // ms
const SILENCE_MS = 40000; // ms; the daemon sends a comment every 15 s

/** A problem document (RFC 9457), or what stands for one where there was no answer. */
export class Problem extends Error {
  constructor(status, document) {
    super(document.detail || document.title || "the daemon did not answer");
    this.status = status;
    this.errors = document.errors || [];
  }
  /** One sentence with every bad field. */
  sentence() {
    return [this.message, ...this.errors.map((e) => `${e.pointer} ${e.detail}`)].join("; ");
  }
}

let refused = () => {},
  unavailable = () => {},
  wake = () => {};
/** Called when the daemon asks for a token. */
export function onRefused(callback) {
  refused = callback;
}
/** Called when the daemon cannot do what was asked now (503, or 507: the disk is full). */
export function onUnavailable(callback) {
  unavailable = callback;
}
export const tokenKnown = () => Boolean(sessionStorage.getItem(TOKEN));
/** Keeps the token until the tab closes, and tries it at once. */
export function tokenSet(token) {
  if (token) sessionStorage.setItem(TOKEN, token);
  else sessionStorage.removeItem(TOKEN);
  wake();
}
/** Why the daemon would not take this token: a sentence, or "" where it does. Nothing is kept. */
export async function tokenFault(token) {
  if (!token) return "Enter a token.";
  if (!/^[\x21-\x7e]+$/.test(token)) return "A token has letters, digits and signs without blanks; this one has others.";
  try {
    const answer = await fetch("/v1/jobs?limit=1", { headers: { Authorization: `Bearer ${token}` }, cache: "no-store" });
    return answer.status === 401 ? "The daemon does not know this token. Check that you copied all of it." : "";
  } catch {
    return "The daemon does not answer. Try again in a moment.";
  }
}
/**
 * Why the daemon is not ready: what it says of it, such as that the disk is full, or null. Of a daemon that does not answer nothing is known: the
 * stream reports that.
 */
export async function notReady() {
  try {
    const answer = await fetch("/readyz", { cache: "no-store" });
    return answer.ok ? null : (await problemOf(answer, false)).message;
  } catch {
    return null;
  }
}
function headers(more) {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}`, ...more } : { ...more };
}

async function problemOf(response, ask = true) {
  let document = {};
  try {
    document = await response.json();
  } catch {
    /* an answer of something between us and the daemon */
  }
  if (response.status === 401 && ask) refused();
  if ([503, 507].includes(response.status) && ask) unavailable();
  return new Problem(response.status, { title: `HTTP ${response.status}`, ...document });
}

async function send(method, path, { body, accept = "application/json", signal } = {}) {
  const more = { Accept: accept };
  if (body !== undefined) more["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: headers(more),
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
      cache: "no-store",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, {});
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

/** The JSON of a path. */
export async function get(path, signal) {
  return (await send("GET", path, { signal })).json();
}
export async function post(path, body, signal) {
  return (await send("POST", path, { body, signal })).json();
}
export async function put(path, body, signal) {
  return (await send("PUT", path, { body, signal })).json();
}
export async function patch(path, body, signal) {
  return (await send("PATCH", path, { body, signal })).json();
}
export async function remove(path) {
  await send("DELETE", path);
}

/**
 * Sends a file, and says how much of it has gone: `progress(share)`, 0 to 1. By XMLHttpRequest, since fetch does not report what it has sent. The
 * daemon reads the file once it has all of it.
 */
export function upload(path, file, progress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(),
      stop = () => request.abort();
    request.open("PUT", path);
    for (const [name, value] of Object.entries(headers({ "Content-Type": "application/octet-stream", Accept: "application/json" })))
      request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => progress(event.total ? event.loaded / event.total : 1));
    request.addEventListener("load", () => {
      const response = new Response(request.responseText, { status: request.status });
      if (response.ok) response.json().then(resolve, reject);
      else problemOf(response).then(reject);
    });
    request.addEventListener("error", () => reject(new Problem(0, {})));
    request.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
    request.addEventListener("loadend", () => signal?.removeEventListener("abort", stop));
    signal?.addEventListener("abort", stop);
    request.send(file);
  });
}

/** Saves what a path answers as a file; through fetch, so that the token goes with it. */
export async function download(path, name, accept) {
  const blob = await (await send("GET", path, { accept })).blob();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Splits SSE text into events; returns the unfinished rest. Only `data` lines matter: the object repeats id and type. */
function eventsTake(text, emit) {
  const blocks = text.split("\n\n");
  const rest = blocks.pop();
  for (const block of blocks) {
    const data = block
      .split("\n")
      .filter((line) => line.startsWith("data:"))
      .map((line) => line.slice(5).trimStart())
      .join("\n");
    if (data) emit(JSON.parse(data));
  }
  return rest;
}

/** So many ms, or less where something says that it is worth trying now. */
function pause(ms) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    wake = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}

/** One connection: ends by returning or throwing. */
async function streamRead(last, opened, emit, ask) {
  const control = new AbortController();
  let watch = 0;
  const alive = () => {
    clearTimeout(watch);
    watch = setTimeout(() => control.abort(), SILENCE_MS);
  };
  alive();
  try {
    const more = { Accept: "text/event-stream" };
    if (last() !== null) more["Last-Event-ID"] = String(last());
    const response = await fetch("/v1/events", { headers: headers(more), signal: control.signal, cache: "no-store" });
    if (!response.ok) throw await problemOf(response, ask);
    opened();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ;) {
      const { value, done } = await reader.read();
      if (done) return;
      alive();
      rest = eventsTake(rest + value, emit);
    }
  } finally {
    clearTimeout(watch);
    control.abort();
  }
}

/**
 * The page's one stream, for as long as the page lives. `state(word)` hears "live", "reconnecting" and "token needed"; `opened()` is called at
 * each connection, `emit(event)` for each event, in order. A token is asked for once; who declines is not asked again until he does something.
 */
export async function streamFollow({ state, opened, emit }) {
  let last = null,
    wait = BACKOFF_FIRST,
    ask = true;
  const take = (event) => {
    last = event.seq;
    emit(event);
  };
  const began = () => {
    wait = BACKOFF_FIRST;
    ask = true;
    state("live");
    opened();
  };
  for (const what of ["online", "visibilitychange"]) (what === "online" ? window : document).addEventListener(what, () => wake());
  for (;;) {
    let refusal = false;
    try {
      await streamRead(() => last, began, take, ask);
    } catch (error) {
      refusal = error.status === 401;
      ask &&= !refusal;
      if (error.status >= 400 && error.status < 500 && !refusal && error.status !== 429) last = null; // another store: begin now
    }
    state(refusal ? "token needed" : "reconnecting");
    await pause(wait * (0.75 + Math.random() / 2));
    wait = Math.min(wait * 2, BACKOFF_MAX);
  }
}
