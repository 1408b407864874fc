/*
 * Workers: announcing one, its requests for leases, its beats, and the lists of workers and pools. See remote.h for
 * what a lease is; routes/attempts.c has what a worker sends about one. Loop thread.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/build.h"
#include "server/datasets/catalog.h"
#include "server/routes/replies.h"
#include "server/routes/routes.h"

#define BODY_MOST 65536
#define NAME_MOST (REMOTE_NAME_BYTES - 1)
#define SLOTS_MOST 1024
#define BEATS_A_LEASE 6
#define WAIT_MOST 60
#define RUNNING_MOST 1024

static json_t *seconds_or_null(double seconds) {
    return isfinite(seconds) ? json_real(seconds) : json_null();
}

/* The body of a worker's call: NULL after answering. */
static json_t *worker_body(struct request *request) {
    if (request->body_size > BODY_MOST) {
        http_problem(request, 413, "this has at most %d bytes", BODY_MOST);
        return NULL;
    }
    return read_body(request);
}

/* ---- announcing ---- */

static struct worker_facts facts_read(const json_t *body, struct problems *problems) {
    struct worker_facts facts = {.seconds_left = body_number(body, "seconds_left", INFINITY)};
    snprintf(facts.pool, sizeof facts.pool, "%s", body_text(body, "pool", 64, "default", problems));
    snprintf(facts.external, sizeof facts.external, "%s", body_text(body, "external", NAME_MOST, "", problems));
    snprintf(facts.isa, sizeof facts.isa, "%s", body_text(body, "isa", 15, NULL, problems));
    snprintf(facts.device, sizeof facts.device, "%s", body_text(body, "device", NAME_MOST, "", problems));
    facts.slots = (int)body_integer(body, "slots", 1, SLOTS_MOST, 0, problems);
    facts.cores = (int)body_integer(body, "cores", 1, 65536, 0, problems);
    facts.memory = body_integer(body, "memory", 1, INT64_MAX, 0, problems);
    if (facts.pool[0] == '\0' || !dataset_name_is_valid(facts.pool)) {
        problems_add(problems, NULL, "pool", "must be 1 to 64 letters, digits, dots, hyphens and underscores");
    }
    return facts;
}

/* Same bits need the same program. */
static bool build_is_same(struct request *request, const json_t *body, struct problems *problems) {
    const char *build = body_text(body, "build", 128, NULL, problems);
    if (problems->count > 0 || strcmp(build, build_identity) == 0) {
        return problems->count == 0;
    }
    http_problem(request, 409,
                 "the worker's build is %.64s, this daemon's %s: results are the same bits only with the "
                 "same build; install the daemon's",
                 build, build_identity);
    return false;
}

void route_worker_register(struct server *server, struct request *request) {
    struct problems problems = {0};
    char id[STORE_ID_BYTES], secret[REMOTE_SECRET_BYTES];
    json_t *body = call_identity(server, request, id) ? worker_body(request) : NULL;
    if (body == NULL) {
        return;
    }
    const struct worker_facts facts = facts_read(body, &problems);
    bool same = build_is_same(request, body, &problems);
    json_decref(body);
    if (problems.count > 0) {
        reply_problems(request, 422, "the worker has bad fields", &problems);
    }
    if (!same) {
        return;
    }
    struct worker *worker = remote_register(server->remote, id[0] == '\0' ? NULL : id, &facts);
    if (worker == NULL) {
        http_problem(request, 503, "out of memory");
        return;
    }
    int lease = remote_lease_seconds(server->remote);
    const struct worker_view view = worker_look(worker);
    remote_secret(server->remote, view.id, secret);
    http_reply_json(request, id[0] == '\0' ? 201 : 200,
                    json_pack("{s:s, s:s, s:f, s:i}", "id", view.id, "secret", secret, "beat",
                              (double)lease / BEATS_A_LEASE, "lease", lease));
}

/* The worker that calls is the one in the path. */
static struct worker *path_worker(struct server *server, struct request *request) {
    struct worker *worker = call_worker(server, request);
    if (worker != NULL && strcmp(worker_look(worker).id, request->parameter) != 0) {
        http_problem(request, 403, "the worker of the path is not the one of the header Modprop-Worker");
        return NULL;
    }
    return worker;
}

/* ---- leases ---- */

static void lease_add(void *user, const struct lease_view *lease) {
    json_t *object = json_pack("{s:s, s:i, s:s?, s:s?, s:s?}", "job", lease->job, "attempt", lease->attempt, "document",
                               lease->document, "dataset_sha256",
                               *lease->dataset_sha256 == '\0' ? NULL : lease->dataset_sha256, "checkpoint_sha256",
                               *lease->checkpoint_sha256 == '\0' ? NULL : lease->checkpoint_sha256);
    json_object_set_new(object, "checkpoint", lease->checkpoint < 0 ? json_null() : json_integer(lease->checkpoint));
    json_object_set_new(object, "mnist_training",
                        lease->mnist_training == 0 ? json_null() : json_integer(lease->mnist_training));
    json_object_set_new(object, "memory", json_integer(lease->memory));
    json_array_append_new(user, object);
}

static void leases_reply(struct call *call, enum remote_result result) {
    json_t *list = json_array();
    (void)result;
    worker_leases(call->worker, lease_add, list);
    http_reply_json(call->request, 200, json_pack("{s:o}", "leases", list));
}

void route_worker_leases(struct server *server, struct request *request) {
    int64_t wait = 0;
    const struct query_parameter query[] = {
        {.name = "wait", .type = QUERY_INTEGER, .low = 0, .high = WAIT_MOST, .integer = &wait}};
    struct problems problems = {0};
    struct worker *worker = read_query(request, query, 1) ? path_worker(server, request) : NULL;
    json_t *body = worker != NULL ? worker_body(request) : NULL;
    if (body == NULL) {
        return;
    }
    struct lease_request lease = {.wait = (double)wait};
    snprintf(lease.id, sizeof lease.id, "%s", body_text(body, "request_id", NAME_MOST, NULL, &problems));
    lease.slots = (int)body_integer(body, "slots", 1, SLOTS_MOST, 0, &problems);
    lease.memory = body_integer(body, "memory", 0, INT64_MAX, -1, &problems);
    json_decref(body);
    if (problems.count == 0 && lease.id[0] == '\0') {
        problems_add(&problems, NULL, "request_id", "must not be empty");
    }
    if (problems.count > 0) {
        reply_problems(request, 422, "the request for leases has bad fields", &problems);
        return;
    }
    struct call *call = call_add(server, request, leases_reply);
    if (call != NULL) {
        call->worker = worker;
        remote_lease(worker, &lease, &call->call);
        jobs_schedule(server->jobs);
    }
}

/* ---- beats ---- */

static struct attempt_news news_of(const json_t *running) {
    struct problems ignored = {0};
    struct attempt_news news = {.iteration = body_integer(running, "iteration", 0, INT64_MAX, 0, &ignored),
                                .updates = body_integer(running, "updates", 0, INT64_MAX, 0, &ignored),
                                .trials_per_second = body_number(running, "trials_per_second", NAN),
                                .trained = body_number(running, "trained", 0),
                                .threads = (int)body_integer(running, "threads", 1, 65536, 1, &ignored)};
    news.evaluated = (size_t)body_integer(running, "evaluated", 0, INT64_MAX, 0, &ignored);
    news.evaluation = (size_t)body_integer(running, "evaluation", 0, INT64_MAX, 0, &ignored);
    problems_release(&ignored);
    return news;
}

void route_worker_beat(struct server *server, struct request *request) {
    struct worker *worker = path_worker(server, request);
    json_t *body = worker != NULL ? worker_body(request) : NULL, *orders = json_array();
    const json_t *running = json_object_get(body, "running");
    if (body == NULL || !json_is_array(running) || json_array_size(running) > RUNNING_MOST) {
        struct problems problems = {0};
        json_decref(orders);
        json_decref(body);
        if (body != NULL) {
            problems_add(&problems, NULL, "running", "must be a list of at most %d attempts", RUNNING_MOST);
            reply_problems(request, 422, "the beat has bad fields", &problems);
        }
        return;
    }
    for (size_t i = 0; i < json_array_size(running); i++) {
        const json_t *one = json_array_get(running, i);
        const char *job = json_string_value(json_object_get(one, "job"));
        int number = (int)json_integer_value(json_object_get(one, "attempt"));
        struct attempt *attempt = job == NULL ? NULL : remote_attempt(worker, job, number);
        const struct attempt_news news = news_of(one);
        const char *order = attempt == NULL ? "abandon" : remote_attempt_beat(attempt, &news);
        json_array_append_new(orders, json_pack("{s:s*, s:i, s:s}", "job", job, "attempt", number, "order", order));
    }
    bool leaves = json_is_true(json_object_get(body, "leaves"));
    json_decref(body);
    if (leaves) {
        remote_leave(worker);
    }
    http_reply_json(request, 200,
                    json_pack("{s:o, s:b, s:f}", "orders", orders, "drain", 0, "beat",
                              (double)remote_lease_seconds(server->remote) / BEATS_A_LEASE));
}

/* ---- lists ---- */

static void worker_add(void *user, const struct worker_view *view) {
    char since[TIME_TEXT_BYTES];
    time_text(view->since, since);
    const struct worker_facts *facts = view->facts;
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:I, s:i, s:b, s:f, s:s}", "id", view->id, "pool",
                               facts->pool, "external", facts->external, "instruction_set", facts->isa, "device",
                               facts->device, "slots", facts->slots, "cores", facts->cores, "memory_bytes",
                               (json_int_t)facts->memory, "running", view->running, "asking", view->asking,
                               "silent_seconds", view->silent, "since", since);
    json_object_set_new(object, "seconds_left", seconds_or_null(facts->seconds_left));
    json_object_set_new(object, "known", json_boolean(view->known));
    json_array_append_new(user, object);
}

void route_workers(struct server *server, struct request *request) {
    json_t *list = json_array();
    remote_workers_each(server->remote, worker_add, list);
    http_reply_json(request, 200, json_pack("{s:o}", "workers", list));
}

/* What there is of one pool, or of all. */
struct pool_sum {
    const char *name;
    int workers, slots, running;
};

static void pool_count(void *user, const struct worker_view *view) {
    struct pool_sum *sum = user;
    if (view->known && strcmp(view->facts->pool, sum->name) == 0) {
        sum->workers++;
        sum->slots += view->facts->slots;
        sum->running += view->running;
    }
}

/*
 * `wanted`: workers that would have something to do: slots for the jobs that wait and those that run in the pool, in
 * workers of `slots` slots (0: as those that there are, or 1).
 */
static json_t *pool_document(const struct server *server, const char *name, int64_t slots) {
    struct pool_sum sum = {.name = name};
    remote_workers_each(server->remote, pool_count, &sum);
    int64_t queued = jobs_counts(server->jobs)->jobs[JOB_QUEUED], each = slots;
    if (each == 0) {
        each = sum.workers > 0 && sum.slots >= sum.workers ? sum.slots / sum.workers : 1;
    }
    return json_pack("{s:s, s:i, s:i, s:i, s:I, s:I}", "name", name, "workers", sum.workers, "slots", sum.slots,
                     "running", sum.running, "queued", (json_int_t)queued, "wanted",
                     (json_int_t)((queued + sum.running + each - 1) / each));
}

void route_pool(struct server *server, struct request *request) {
    int64_t slots = 0;
    const struct query_parameter query[] = {
        {.name = "slots", .type = QUERY_INTEGER, .low = 1, .high = SLOTS_MOST, .integer = &slots}};
    if (!read_query(request, query, 1)) {
        return;
    }
    if (!dataset_name_is_valid(request->parameter)) {
        http_problem(request, 404, "a pool's name has 1 to 64 letters, digits, dots, hyphens and underscores");
        return;
    }
    http_reply_json(request, 200, pool_document(server, request->parameter, slots));
}

struct pool_names {
    const struct server *server;
    json_t *pools; /* by name */
};

static void pool_name_add(void *user, const struct worker_view *view) {
    struct pool_names *names = user;
    if (view->known && json_object_get(names->pools, view->facts->pool) == NULL) {
        json_object_set_new(names->pools, view->facts->pool, pool_document(names->server, view->facts->pool, 0));
    }
}

void route_pools(struct server *server, struct request *request) {
    struct pool_names names = {.server = server, .pools = json_object()};
    json_t *list = json_array(), *pool;
    const char *name;
    remote_workers_each(server->remote, pool_name_add, &names);
    json_object_foreach(names.pools, name, pool) {
        json_array_append(list, pool);
    }
    json_decref(names.pools);
    http_reply_json(request, 200, json_pack("{s:o}", "pools", list));
}
