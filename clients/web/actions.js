/*
 * What may be done with jobs: one on its page, several from the list. A job that has moved on meanwhile is not touched twice: the daemon answers
 * what it now is, or why not.
 */
import { post, remove } from "./api.js";
import { jobForget, jobPut } from "./jobs.js";

const AT_ONCE = 4;
export const ENDED = ["succeeded", "failed", "cancelled"];

const ask = (word) => async (job, body) => {
  const now = await post(`/v1/jobs/${job.id}/${word}`, body);
  jobPut(now);
  return now;
};

/* How many iterations in all; null where the question was put away. */
function iterationsPrompt(jobs) {
  const most = Math.max(...jobs.map((job) => Math.max(job.progress.iteration, job.training.iterations)));
  const text = window.prompt("Total number of iterations of the new job, including those already made:", String(2 * most));
  return text === null ? null : Number(text.replaceAll(/[ ,_]/g, "")) || text;
}

/* A job that ended by its own condition goes on without one. */
const metCondition = (job) => job.status === "succeeded" && job.training.stop_when && job.progress.iteration < job.training.iterations;

/**
 * Word for buttons, which jobs it fits, what it does, and what is said of those for whom it was done. One that needs an answer first has `ask`, of
 * all its jobs together. `act` answers with the job as it now is, or with a new one.
 */
export const ACTIONS = {
  pause: { text: "Pause", fits: (job) => ["queued", "running"].includes(job.status), act: ask("pause"), done: "pause requested" },
  resume: { text: "Resume", fits: (job) => ["paused", "pausing"].includes(job.status), act: ask("resume"), done: "resumed" },
  cancel: { text: "Cancel", fits: (job) => !ENDED.includes(job.status) && job.status !== "cancelling", act: ask("cancel"), done: "cancel requested" },
  extend: {
    text: "Extend",
    fits: (job) => ENDED.includes(job.status) && job.progress.iteration > 0,
    ask: iterationsPrompt,
    act: (job, iterations) => ask("extend")(job, { iterations, ...(metCondition(job) ? { stop_when: null } : {}) }),
    done: "extended by a new job",
  },
  retry: { text: "Retry", fits: (job) => ["failed", "cancelled"].includes(job.status), act: ask("retry"), done: "submitted again" },
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

/** Does `action` to all of `jobs`, a few at a time, with what was asked; {done, failed, why (the first problem's sentence)}. */
export async function actOnAll(action, jobs, answer) {
  const left = [...jobs],
    result = { done: 0, failed: 0, why: "" };
  const work = async () => {
    for (let job = left.shift(); job; job = left.shift()) {
      try {
        await action.act(job, answer);
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
