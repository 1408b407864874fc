/*
 * The job document: JSON to struct and back, by the parameter tables of parameters.c.
 */
#ifndef MODPROP_API_JOB_H
#define MODPROP_API_JOB_H

#include <jansson.h>

#include "api/caption.h"
#include "api/identity.h"
#include "api/problem.h"
#include "api/rule.h"
#include "core/base/field.h"
#include "core/model/config.h"

#define JOB_ID_BYTES 37

/* Weights that a document carries; `memory` holds W, Win, b, Wout, bout in this order. */
struct weights_document {
    int units, inputs, outputs;
    struct weights_view view;
    float *memory;
};

/* Weights that are stored: those of a job's checkpoint, or a file that was uploaded. All "": none. */
struct weights_reference {
    char job[JOB_ID_BYTES];
    int64_t iteration; /* of the job's checkpoints; -1: the newest */
    char file[FIELD_NAME_BYTES];
    char sha256[FIELD_SHA256_BYTES]; /* of the file's version; "": the newest. Once read: of the weights themselves for
                                      * a job, of the file for a file */
};

/*
 * Adds where weights were taken from: from_job and from_iteration or from_weights, and from_sha256. No part of a
 * configuration's digest. False if out of memory.
 */
bool weights_reference_put(const struct weights_reference *from, json_t *document);
bool weights_reference_is_given(const struct weights_reference *reference);

/*
 * Decodes path/name: {"job": id, "iteration": n} or {"weights": name, "sha256": text} into `reference`, or a weights
 * document as GET .../weights gives it into `document`. null: neither.
 */
void weights_reference_decode(const json_t *value, const struct path *path, const char *name,
                              struct weights_document *document, struct weights_reference *reference,
                              struct problems *problems);

struct task_shape;

/* What the document holds outside the sections; offsets are within struct job_spec. */
extern const struct fields top_fields;

struct job_spec {
    struct caption caption; /* members are NULL where the document has none; of a stored document, the name alone */
    json_t *metadata;       /* an object; NULL: none */
    int threads;            /* upper bound; 0: none */
    int priority;
    int64_t time_limit; /* seconds of training; 0: none */
    json_t *origin;     /* of a job made from another (origin_make); only stored documents have one. NULL: none */
    struct train_config config;
    /* What config points to: */
    double *tau_of_unit;
    int tau_count;
    int *type_of_unit;                     /* network.types, where it is a list */
    int type_count;                        /* its entries */
    struct weights_document initial;       /* memory NULL: none given in the document itself */
    struct weights_reference initial_from; /* where network.initial refers to, or `initial` was taken from */
    bool units_open; /* network.units was not given and is that job's: job_spec_units_set is to follow */
};

/*
 * Decodes and checks a job. All faults go to `problems`; `spec` is filled as far as possible. Call job_spec_release in
 * any case.
 */
void job_spec_decode(struct job_spec *spec, const json_t *document, struct problems *problems);
void job_spec_release(struct job_spec *spec);

/*
 * The same for a stored document's text, which was checked when it was submitted; the configuration gets its identity.
 * False if the text is damaged or memory is short; release `spec` in any case.
 */
bool job_spec_parse(struct job_spec *spec, const char *text);
/*
 * The stored document as a tree for responses: initial weights are replaced by their sizes and never parsed, so a list
 * of such jobs costs no more than a list of others. NULL if out of memory or if the text is damaged.
 */
json_t *job_spec_brief(const char *text);
/* The same as text, malloc'ed; NULL if the text is brief already. False if out of memory. */
bool job_spec_brief_text(const char *text, char **brief);
/* The document for the store: defaults filled in, initial weights in full. NULL if out of memory; the caller frees. */
char *job_spec_text(const struct job_spec *spec);

/*
 * What a job made from another says of that one in its document and manifest: {"kind": "extension" or "retry", "job":
 * its id, "iteration": that of the checkpoint it continues from, "weights_sha256": that one's}; a retry has neither of
 * the last two. No part of a result's configuration: config_sha256 is that of a job submitted directly. Takes the place
 * of the origin that spec has. False if out of memory.
 */
bool job_spec_origin_set(struct job_spec *spec, const char *kind, const char *job, int64_t iteration,
                         const char *weights_sha256);

/*
 * Reads what an extension changes: {"iterations": n, "stop_when": null or a condition} into spec->config.training.
 * stop_when stays as it is where it is not given. Faults go to `problems`.
 */
void job_spec_extend(struct job_spec *spec, const json_t *body, struct problems *problems);

/* network.units, where the document left it to the weights of initial_from, and what must be checked with it. */
void job_spec_units_set(struct job_spec *spec, int units, struct problems *problems);

/* Whether rules can be compared in this job; `path` leads to their list. */
void job_spec_check_aligned(const struct job_spec *spec, const struct rule_config *rules, int count,
                            const struct path *path, struct problems *problems);

/* Checks what depends on the task's shape once its data are loaded (initial weights). */
void job_spec_check_shape(const struct job_spec *spec, int inputs, int outputs, struct problems *problems);

/*
 * Checks and fills in what depends on the task's shape: whether there is an accuracy to stop on, the trials of an
 * evaluation, and the interval between evaluations if the job leaves it open.
 */
void job_spec_settle(struct job_spec *spec, const struct task_shape *shape, struct problems *problems);

/*
 * The job with every default filled in; NULL if out of memory. `with_weights`: initial weights in full (for the store),
 * else only their shape.
 */
json_t *job_spec_encode(const struct job_spec *spec, bool with_weights);

/* Removes what reaches no result: captions, metadata, threads, priority, the time limit. */
void job_document_strip(json_t *document);

/*
 * SHA-256, in hexadecimal, of everything that determines the result: seed, task, network, rule, optimizer, training. ""
 * if out of memory.
 */
void job_spec_digest(const struct job_spec *spec, char digest[65]);
/*
 * The same for a stored document, from its text alone: parameters added after the document was stored do not enter. ""
 * if the text cannot be read.
 */
void job_document_digest(const char *text, char digest[65]);

/*
 * The job's identity (identity.h), as far as `reach`; REACH_COURSE is that of its checkpoints. The data's digest
 * replaces their name once it is known, and initial weights enter by their SHA-256. False if out of memory.
 */
bool job_spec_identity(const struct job_spec *spec, enum field_reach reach, uint8_t identity[IDENTITY_BYTES]);

/* GET /v1/tasks and /v1/rules. */
json_t *tasks_describe(void);
json_t *rules_describe(void);
/* GET /v1/neurons. */
json_t *neurons_describe(void);
/* JSON Schema of a job submission, for OpenAPI. */
json_t *job_schema(void);
json_t *rule_schema(void);

/* Whether a task has a parameter of this name that is one number. */
bool task_parameter_is_number(enum task_type type, const char *parameter);
/*
 * `to` becomes the task `from` with another value of one parameter, and shares its data; release it with
 * task_config_release in any case. False with a sentence if the value does not fit.
 */
bool task_config_change(const struct task_config *from, const char *parameter, double value, struct task_config *to,
                        char fault[256]);
void task_config_release(struct task_config *task);

const char *task_type_name(enum task_type type);
bool task_type_find(const char *name, enum task_type *type);

#endif
