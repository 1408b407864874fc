/*
 * What stands where a view cannot be shown, or not yet.
 */
import { h } from "./dom.js";
import { onOpened } from "./jobs.js";

/** What keeps a view from being shown, by the status of the answer; 0: there was none. */
export const FAILURES = {
  0: ["The daemon does not answer", "The page continues by itself once it is back."],
  401: ["A token is needed", "Enter one with the Token button above."],
};

/** A heading, sentences, and links or buttons in the middle of a view. */
export function messageShow(place, title, ...more) {
  place.replaceChildren(
    h(
      "div",
      { class: "empty" },
      h("h1", {}, title),
      more.flat().map((m) => (typeof m === "string" ? h("p", {}, m) : m)),
    ),
  );
}

/**
 * A view that reads itself anew, by its `readOnce()`, until its `signal`: one reading at a time; what falls due meanwhile comes next. A reading may
 * set `behind` to have another one follow.
 */
export class Refresher {
  reading = false;
  behind = false;
  async read() {
    this.behind = this.reading;
    if (this.reading) return;
    this.reading = true;
    try {
      do {
        this.behind = false;
        await this.readOnce();
      } while (this.behind && !this.signal.aborted);
    } finally {
      this.reading = false;
    }
  }
}

/**
 * Fills `place` by `fill()`, a promise. Where that fails it says why, and tries again: at a press, and by itself once the daemon is back. What
 * does not exist is shown by the heading `missing`. `signal` ends it.
 */
export function loadInto(place, missing, signal, fill) {
  let waiting = false;
  const run = async () => {
    waiting = false;
    try {
      await fill();
    } catch (error) {
      if (signal.aborted || error.name === "AbortError") return;
      const gone = error.status === 404;
      waiting = !gone;
      const [title, hint] = gone ? [missing, error.message] : FAILURES[error.status] || ["This could not be loaded", error.message];
      const again = h("button", { type: "button", onclick: run }, "Try again");
      messageShow(place, title, hint, h("p", {}, gone ? h("a", { href: "#/jobs" }, "All jobs") : again));
    }
  };
  place.replaceChildren(h("p", { class: "empty" }, "Loading."));
  const end = onOpened(() => waiting && run());
  signal.addEventListener("abort", end);
  run();
}
