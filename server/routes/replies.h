/*
 * Responses that several routes give: problems with their faults, a job's document, why an action was refused; and
 * requests whose response is made in a lane.
 */
#ifndef MODPROP_SERVER_REPLIES_H
#define MODPROP_SERVER_REPLIES_H

#include "api/problem.h"
#include "api/query.h"
#include "server/routes/server.h"
#include "api/writer.h"
#include "server/http/spool.h"

/* A problem with every fault; `problems` is emptied. */
void reply_problems(struct request *request, int status, const char *detail, struct problems *problems);
/* Reads the query; answers 422 and returns false if it has faults. */
bool read_query(struct request *request, const struct query_parameter *parameters, size_t count);
/* Parses the body; answers 400 and returns NULL if it is not a JSON object. */
json_t *read_body(struct request *request);

/* A job as clients see it. NULL if out of memory. */
/* The origin of a finished job's result. */
json_t *manifest_document(const struct store_job *job);
json_t *job_document(struct server *server, const struct store_job *job);
/* The same on any thread, from what the loop has read about the active job: jobs_live_none if it is not active. */
json_t *job_document_with(const struct server *server, const struct store_job *job, const struct jobs_live *live);
/* Reads the job that the path names; answers 404 or 500 and returns false. */
bool read_job(struct server *server, struct request *request, struct store_job *job);
/* Responds with the job's current state. */
void reply_job(struct server *server, struct request *request, int status, const char *id);
/* Responds with the reason why an action on a job was refused. */
void reply_refusal(struct request *request, enum jobs_result result, const char *detail);

/* Ends a page of a list, whose array is still open: the next page's cursor, and what was looked at for this one. */
void page_end(struct writer *writer, const struct store_found *found);

/* Work in a lane that ends in a response. Embedded as the first member of the struct that owns the work. */
struct computation {
    struct lane_task task;
    struct server *server;
    struct request *request; /* NULL: other code finishes */
    /* In the lane: fills `out`, or sets status and detail. */
    void (*work)(struct computation *computation);
    /* Loop: frees what the work owns; the response has been given. */
    void (*release)(struct computation *computation);
    struct spool out;
    struct writer writer; /* into out */
    int status;           /* of the answer; 200 */
    const char *type;
    char etag[128];   /* "" : none */
    char detail[512]; /* if status is an error */
    int64_t wanted;   /* bytes, of computation_memory; 0: none */
    struct problems problems;
};

/* Prepares the common part. */
void computation_init(struct computation *computation, struct server *server, struct request *request,
                      const char *type);
/*
 * True if unread responses take as much as they may, in memory or (a multiple of that) in files: otherwise clients that
 * send requests and do not read could fill either.
 */
bool answers_are_full(const struct server *server);

/*
 * Hands it to a lane, with task.memory the bytes that it takes besides reading its body, set by the caller; if too many
 * wait there, answers 429 and releases it.
 */
void computation_start(struct computation *computation, enum lane lane);
/*
 * In the lane: whether the `bytes` that the work computes with are counted for it. If not, the work returns at once,
 * with nothing written: it waits for its turn with that much, and runs again from its beginning; or it has failed,
 * because the daemon may not use as much.
 */
bool computation_memory(struct computation *computation, uint64_t bytes);
/* In the lane: the database connection that this computation has meanwhile. */
struct store_reader *computation_reader(const struct computation *computation);
/* Responds to a client that has closed the connection, or its sending side: only the latter reads it. */
void reply_gone(struct request *request);
/* Responds with the reason why the task was stopped. */
void reply_stopped(struct request *request, const struct lane_task *task);
/*
 * In the lane, once the tree that a body was read into is freed: gives the memory of a large one back to the system,
 * and what it counted for back to the lanes.
 */
void computation_tidy(struct computation *computation);
/* In the lane: the request's body as JSON, or NULL after computation_fail. */
json_t *computation_body(struct computation *computation);
void computation_fail(struct computation *computation, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
