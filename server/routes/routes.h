/*
 * Routes: from a request to the function that handles it.
 *
 * The table (table.c) gives for every route its method, path, role, body and the types it returns. All shared checks
 * are made from the table at the header stage, so that a handler sees only requests that may be answered: Host, Origin,
 * token, rate, path, method, types, body.
 */
#ifndef MODPROP_SERVER_ROUTES_H
#define MODPROP_SERVER_ROUTES_H

#include "server/http/accept.h"
#include "server/routes/server.h"

#define ROUTE_TYPES_MAX 4

enum route_body {
    BODY_NONE,     /* any body is drained */
    BODY_JSON,     /* application/json, kept in memory */
    BODY_OPTIONAL, /* the same, or none */
    BODY_OCTETS    /* application/octet-stream, taken by the route's begin */
};

struct route {
    const char *name; /* for metrics */
    enum http_method method;
    const char *path; /* {x} is one segment, handed over in request->parameter */
    /* Parameters after the ?, which the handler reads, in the form that the OpenAPI document shows: name:type,
     * separated by spaces; integer:low:high, boolean, string, search, status, task, rule, or words separated by |.
     * NULL: none, and a query is a fault. */
    const char *query;
    enum role role;
    bool workers; /* also for the role worker */
    enum route_body body;
    const char *request, *response; /* schemas (schemas/NAME.json) of the body and of the first response; NULL: none */
    const char *statuses;           /* besides those that any route may return */
    const char *types[ROUTE_TYPES_MAX + 1]; /* of responses, preferred first; NULL-terminated */
    const char *summary;                    /* its purpose, in one line */
    void (*handle)(struct server *server, struct request *request);
    void (*begin)(struct server *server, struct request *request); /* BODY_OCTETS: sets the sink */
    void (*abandon)(struct request *request);                      /* BODY_OCTETS: after the answer, whatever it was */
    bool anytime;                                                  /* answered while recovering, draining or crowded */
};

/* table.c */
extern const struct route routes_listed[];
extern const size_t routes_listed_count;

/* registry.c: the table, for modules whose pages are made from it (metrics, OpenAPI). Registered before http starts. */
extern const struct route *route_table;
extern size_t route_count;
void routes_register(const struct route *table, size_t count);

/* The transport's hooks (http.h); user is the server. */
bool routes_admit(void *user, struct request *request);
void routes_head(void *user, struct request *request);
void routes_handle(void *user, struct request *request);
void routes_done(void *user, struct request *request);

/* Closes active requests whose token is gone or has lost its role; returns how many. */
size_t routes_tokens_changed(struct server *server);

/* True if an If-None-Match header names the entity tag (quoted), compared weakly as in RFC 9110. */
bool etag_matches(const char *condition, const char *tag);

/* static.c: files from memory. static_find: one of the dashboard's, or NULL. */
struct static_file;
const struct static_file *static_find(const char *path);
void static_reply(struct request *request, const struct static_file *file);

/* routes/submit.c */
void route_submit(struct server *server, struct request *request);
void route_validate(struct server *server, struct request *request);
void route_extend(struct server *server, struct request *request);
void route_retry(struct server *server, struct request *request);

/* routes/jobs.c */
void route_jobs(struct server *server, struct request *request);
void route_job(struct server *server, struct request *request);
void route_delete(struct server *server, struct request *request);
void route_cancel(struct server *server, struct request *request);
void route_pause(struct server *server, struct request *request);
void route_resume(struct server *server, struct request *request);
void route_job_events(struct server *server, struct request *request);
void route_events(struct server *server, struct request *request);
void route_checkpoints(struct server *server, struct request *request);
void route_manifest(struct server *server, struct request *request);

/* Streams' catch-up (streams.h), in a lane. */
bool history_page_begin(void *user, const struct request *request, const char *job, int64_t after,
                        void (*done)(void *to, struct stream_page *page), void *to, void **handle);
void history_page_forget(void *user, void *handle);

/* captions.c */
void route_job_caption(struct server *server, struct request *request);

/* views.c */
void route_views(struct server *server, struct request *request);
void route_view(struct server *server, struct request *request);
void route_view_put(struct server *server, struct request *request);
void route_view_delete(struct server *server, struct request *request);

/* results.c */
void route_job_metrics(struct server *server, struct request *request);
void route_weights(struct server *server, struct request *request);
void route_gradients(struct server *server, struct request *request);
/* Hooks of streams.h; user is the server. */
bool results_weights_begin(void *user, const char *job, bool as_sse, void (*done)(void *to, struct spool *line),
                           void *to, void **handle);
void results_weights_forget(void *user, void *handle);

/* datasets.c */
void route_datasets(struct server *server, struct request *request);
void route_dataset(struct server *server, struct request *request);
void route_dataset_jobs(struct server *server, struct request *request);
void route_dataset_content(struct server *server, struct request *request);
void route_dataset_put(struct server *server, struct request *request);
void route_dataset_delete(struct server *server, struct request *request);
void begin_dataset_put(struct server *server, struct request *request);
/* An upload whose client is gone. */
void dataset_put_abandon(struct request *request);

/* workers.c */
void route_worker_register(struct server *server, struct request *request);
void route_worker_leases(struct server *server, struct request *request);
void route_worker_beat(struct server *server, struct request *request);
void route_workers(struct server *server, struct request *request);
void route_pools(struct server *server, struct request *request);
void route_pool(struct server *server, struct request *request);

/* attempts.c */
void route_attempt_document(struct server *server, struct request *request);
void route_attempt_checkpoint(struct server *server, struct request *request);
void route_attempt_checkpoint_put(struct server *server, struct request *request);
void route_attempt_records(struct server *server, struct request *request);
void route_attempt_end(struct server *server, struct request *request);
void route_attempt_release(struct server *server, struct request *request);
void begin_attempt_checkpoint(struct server *server, struct request *request);
/* An upload whose client is gone. */
void attempt_checkpoint_abandon(struct request *request);

/* experiments.c */
void route_experiments(struct server *server, struct request *request);
void route_experiment(struct server *server, struct request *request);
void route_experiment_submit(struct server *server, struct request *request);
void route_experiment_validate(struct server *server, struct request *request);
void route_experiment_pause(struct server *server, struct request *request);
void route_experiment_resume(struct server *server, struct request *request);
void route_experiment_cancel(struct server *server, struct request *request);
void route_experiment_retry(struct server *server, struct request *request);
void route_experiment_events(struct server *server, struct request *request);
void route_experiment_edit(struct server *server, struct request *request);
void route_experiment_delete(struct server *server, struct request *request);

/* studies.c */
void route_experiment_points(struct server *server, struct request *request);
void route_experiment_trials(struct server *server, struct request *request);
void route_experiment_compare(struct server *server, struct request *request);
void route_experiment_curves(struct server *server, struct request *request);
void route_compare(struct server *server, struct request *request);

/* simulate.c */
void route_simulate(struct server *server, struct request *request);
void route_evaluate(struct server *server, struct request *request);

/* analyses.c */
void route_analysis(struct server *server, struct request *request);
void route_analyses(struct server *server, struct request *request);

/* align.c */
void route_align(struct server *server, struct request *request);

/* spectrum.c */
void route_spectrum(struct server *server, struct request *request);

/* system.c */
void route_openapi(struct server *server, struct request *request);
void route_tasks(struct server *server, struct request *request);
void route_rules(struct server *server, struct request *request);
void route_neurons(struct server *server, struct request *request);
void route_devices(struct server *server, struct request *request);
void route_index(struct server *server, struct request *request);
void route_livez(struct server *server, struct request *request);
void route_readyz(struct server *server, struct request *request);
void route_metrics(struct server *server, struct request *request);
void route_version(struct server *server, struct request *request);

#endif
