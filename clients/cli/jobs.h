/*
 * Jobs as the command line sees them: which one a word means, and a job's document in words.
 */
#ifndef MODPROP_CLI_JOBS_H
#define MODPROP_CLI_JOBS_H

#include "clients/cli/commands.h"

#define JOB_ID_CHARACTERS 36

/*
 * The id that `word` means: an id itself, the beginning of one (resolved through the list; it must fit one job only),
 * the name that exactly one job has (also where several ids begin so), or "latest", the newest job. *id belongs to the
 * caller. Complains where there is none (STATUS_REFUSED) or there are several (STATUS_USAGE).
 */
enum status job_resolve(struct cli *cli, const char *word, char **id);

/* "/v1/jobs/ID" and `rest`; the caller frees it. */
char *job_path(const char *id, const char *rest);

/*
 * The least number of characters (at least 13, an id's time to the millisecond) by which all these ids differ. Sorts
 * them.
 */
int job_prefix_length(const char **ids, size_t count);

/* GET of a job by any word for it. *document belongs to the caller. */
enum status job_get(struct cli *cli, const char *word, json_t **document);

/* queued, running, ...; "" where the document has none. */
const char *job_status(const json_t *job);
/* "diverged" for a job that succeeded with that outcome, else its status. */
const char *job_standing(const json_t *job);
bool job_has_ended(const json_t *job);
enum paint job_status_paint(const char *status);

/* A member of nested objects: job_member(job, "rule.type"). NULL where there is none. */
json_t *job_member(const json_t *job, const char *path);
/* The same as a string, "-" where it is none. */
const char *job_text(const json_t *job, const char *path);

#define JOB_TASK_BYTES 80

/* "delayed_xor", "dataset digits": the task, data of one's own by their name. Returns `text`. */
const char *job_task(const json_t *job, char text[JOB_TASK_BYTES]);

/* "modprop cell", "modprop mu 0.3 type 2", "eprop": the rule and what distinguishes its variants. */
void job_rule_put(struct text *text, const json_t *job);

#endif
