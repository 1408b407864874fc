/*
 * What may be done with jobs: one on its page, several from the list. A job that has moved on meanwhile is not touched twice: the daemon answers
 * what it now is, or why not.
 */
import { post, remove } from "./api.js";
import { jobForget, jobPut } from "./jobs.js";

const AT_ONCE = 4;
export const ENDED = ["succeeded", "failed", "cancelled"];

const ask = (word) => async (job) => jobPut(await post(`/v1/jobs/${job.id}/${word}`));

/** Word for buttons, which jobs it fits, what it does, and what is said of those for whom it was done. */
export const ACTIONS = {
  pause: { text: "Pause", fits: (job) => ["queued", "running"].includes(job.status), act: ask("pause"), done: "pause requested" },
  resume: { text: "Resume", fits: (job) => ["paused", "pausing"].includes(job.status), act: ask("resume"), done: "resumed" },
  cancel: { text: "Cancel", fits: (job) => !ENDED.includes(job.status) && job.status !== "cancelling", act: ask("cancel"), done: "cancel requested" },
  delete: {
    text: "Delete",
    fits: (job) => ENDED.includes(job.status),
    danger: true,
    done: "deleted",
    async act(job) {
      try {
        await remove(`/v1/jobs/${job.id}`);
      } catch (error) {
        if (error.status !== 404) throw error; // somebody was quicker
      }
      jobForget(job.id);
    },
  },
};

/** Does `action` to all of `jobs`, a few at a time; {done, failed, why (the first problem's sentence)}. */
export async function actOnAll(action, jobs) {
  const left = [...jobs],
    result = { done: 0, failed: 0, why: "" };
  const work = async () => {
    for (let job = left.shift(); job; job = left.shift()) {
      try {
        await action.act(job);
        result.done++;
      } catch (error) {
        result.failed++;
        result.why ||= error.sentence?.() ?? String(error);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return result;
}
