/*
 * Answers that several routes give: problems with their faults, a job's document, why an action was not done; and
 * requests whose answer is made in a lane.
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
/* Reads the query; answers 422 and returns false where it has faults. */
bool read_query(struct request *request, const struct query_parameter *parameters, size_t count);
/* Parses the body; answers 400 and returns NULL where it is no JSON object. */
json_t *read_body(struct request *request);

/* A job as clients see it. NULL without memory. */
/* What a finished job's result came from. */
json_t *manifest_document(const struct store_job *job);
json_t *job_document(struct server *server, const struct store_job *job);
/* The same on any thread, from what the loop has read of the active job: jobs_live_none where it is not active. */
json_t *job_document_with(const struct server *server, const struct store_job *job, const struct jobs_live *live);
/* Reads the job that the path names; answers 404 or 500 and returns false. */
bool read_job(struct server *server, struct request *request, struct store_job *job);
/* Answers with the job as it now is. */
void reply_job(struct server *server, struct request *request, int status, const char *id);
/* Answers why what was asked of a job was not done. */
void reply_refusal(struct request *request, enum jobs_result result, const char *detail);

/* Work in a lane that ends in an answer. Embedded first in what belongs to the work. */
struct computation {
    struct lane_task task;
    struct server *server;
    struct request *request; /* NULL: somebody else finishes */
    /* In the lane: fills out or sets status and detail. */
    void (*work)(struct computation *computation);
    /* Loop: frees what the work owns; the answer has been given. */
    void (*release)(struct computation *computation);
    struct spool out;
    struct writer writer; /* into out */
    int status;           /* of the answer; 200 */
    const char *type;
    char etag[128];   /* "" : none */
    char detail[512]; /* where status is an error */
    struct problems problems;
};

/* Prepares the common part. */
void computation_init(struct computation *computation, struct server *server, struct request *request,
                      const char *type);
/*
 * True where answers that clients are slow to take hold as much as they may, in memory or (a multiple of that) in
 * files: more would let those who ask and do not read fill either.
 */
bool answers_are_full(const struct server *server);

/* Hands it to a lane; answers 429 and releases where too many wait there. */
void computation_start(struct computation *computation, enum lane lane);
/* In the lane: the connection to the database that is this computation's meanwhile. */
struct store_reader *computation_reader(const struct computation *computation);
/* Answers why the task was given up. */
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
