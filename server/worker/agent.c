/*
 * The agent: announcing, leases, beats, and the end. See agent.h.
 *
 * Each call is made again until it is answered, at growing, random distances, so that a thousand workers do not call at
 * once when their daemon is back. A request for leases keeps its id until it is answered: what the daemon leased to an
 * answer that was lost is leased by the next one. On SIGTERM, or shortly before its walltime, every job writes a
 * checkpoint, which is sent, and is given back.
 */
#include "server/worker/agent.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/text.h"
#include "core/base/build.h"
#include "core/kernels/select.h"
#include "server/base/log.h"
#include "server/base/thread.h"
#include "server/executor/pool.h"

#define LEASE_WAIT 30    /* seconds that the daemon may wait with its answer */
#define WALLTIME_LEFT 60 /* seconds before the walltime at which jobs are given back */
#define STOP_SECONDS 50  /* that they may take to write and send their checkpoints */
#define CALL_SECONDS 30L
#define BEAT_SECONDS 5L  /* of silence that end a beat, at least */
#define LEAVE_SECONDS 3L /* for the last call, which is a courtesy */

static void step(struct agent *agent);
static void look(struct agent *agent);

/* ---- times ---- */

static int works_count(const struct agent *agent) {
    int count = 0;
    for (const struct leased_job *work = agent->works; work != NULL; work = work->next) {
        count++;
    }
    return count;
}

static int64_t memory_free(const struct agent *agent) {
    int64_t left = agent->options.memory;
    for (const struct leased_job *work = agent->works; work != NULL; work = work->next) {
        left -= work->memory;
    }
    return left > 0 ? left : 0;
}

/* Ends the agent with a sentence. */
static void agent_fail(struct agent *agent, const char *sentence) {
    fprintf(stderr, "modpropd: %s\n", sentence);
    agent->failed = true;
    loop_stop(&agent->loop);
}

/* ---- calls ---- */

static void call_post(struct agent *agent, struct client_call *call, const char *path, json_t *document, long seconds,
                      void (*done)(struct client_call *call)) {
    size_t size = 0;
    *call = (struct client_call){.method = "POST", .seconds = seconds, .done = done, .user = agent};
    snprintf(call->path, sizeof call->path, "%s", path);
    call->body = json_text(document, &size);
    call->body_size = size;
    json_decref(document);
    client_start(agent->client, call);
}

static json_t *call_answer(struct client_call *call) {
    json_t *answer = call->answer == NULL ? NULL : json_loadb(call->answer, call->answer_size, 0, NULL);
    free((char *)(uintptr_t)call->body);
    free(call->answer);
    call->body = call->answer = NULL;
    return answer;
}

/* ---- announcing ---- */

static double seconds_left(const struct agent *agent) {
    return agent->end_at == 0 ? INFINITY : ((double)agent->end_at - (double)clock_milliseconds()) * 1e-3;
}

static void announced(struct agent *agent, const json_t *answer) {
    char identity[128];
    const char *id = json_string_value(json_object_get(answer, "id"));
    const char *secret = json_string_value(json_object_get(answer, "secret"));
    if (id == NULL || secret == NULL || strlen(id) != STORE_ID_BYTES - 1) {
        agent_fail(agent, "the server does not answer as a modprop daemon; check --server");
        return;
    }
    snprintf(identity, sizeof identity, "%s %.80s", id, secret);
    client_identity_set(agent->client, identity);
    explicit_bzero(identity, sizeof identity);
    memcpy(agent->id, id, sizeof agent->id);
    double beat = json_number_value(json_object_get(answer, "beat"));
    agent->beat_seconds = beat > 0 ? beat : 10;
    agent->announced = true;
    agent->failures = 0;
    agent->beat_at = agent->lease_at = 0;
    log_info("announced", LOG_T("worker", agent->id), LOG_T("server", agent->options.server));
}

/* A refusal that trying again does not mend, at the start; later it may be a daemon that is being set up anew. */
static void refused(struct agent *agent, int status, const json_t *answer) {
    char sentence[1024];
    const char *detail = json_string_value(json_object_get(answer, "detail"));
    snprintf(sentence, sizeof sentence, "the daemon refuses this worker (%d): %.800s", status,
             detail == NULL ? "it gave no reason" : detail);
    if (agent->works == NULL) {
        agent_fail(agent, sentence);
    } else if (agent->failures == 0) {
        log_error(sentence);
    }
}

static void on_announced(struct client_call *call) {
    struct agent *agent = call->user;
    int status = call->status;
    json_t *answer = call_answer(call);
    agent->announcing = false;
    if (status == 200 || status == 201) {
        announced(agent, answer);
    } else {
        if (status == 403 && agent->id[0] != '\0') {
            agent->id[0] = '\0'; /* another daemon, or another key: a new identity */
            client_identity_set(agent->client, "");
        } else if (status >= 400 && status < 500 && status != 429) {
            refused(agent, status, answer);
        } else if (agent->failures == 0) {
            log_warning("the daemon cannot be reached; this worker tries again", LOG_I("status", status),
                        LOG_T("reason", call->error));
        }
        agent->announce_at = clock_milliseconds() + agent_pause(agent, agent->failures++);
    }
    json_decref(answer);
    step(agent);
}

static void announce(struct agent *agent) {
    const struct agent_options *options = &agent->options;
    json_t *document = json_pack("{s:s, s:s, s:i, s:i, s:I, s:s, s:s}", "pool", options->pool, "external",
                                 options->external, "slots", options->slots, "cores", options->cores, "memory",
                                 (json_int_t)options->memory, "isa", kernels_name(), "build", build_identity);
    if (agent->end_at != 0) {
        json_object_set_new(document, "seconds_left", json_real(seconds_left(agent)));
    }
    agent->announcing = true;
    call_post(agent, &agent->announce, "/v1/workers", document, CALL_SECONDS, on_announced);
}

/* When to send a call again that was answered `status`: 404 and 403 mean that the daemon does not know this worker. */
static uint64_t call_again_at(struct agent *agent, int status) {
    if (status == 404 || status == 403) {
        agent_forgotten(agent, status == 403);
    }
    return clock_milliseconds() + agent_pause(agent, agent->failures++);
}

/* ---- leases ---- */

static void on_leases(struct client_call *call) {
    struct agent *agent = call->user;
    int status = call->status;
    const json_t *lease;
    size_t i;
    json_t *answer = call_answer(call);
    agent->leasing = false;
    if (status == 200) {
        agent->request[0] = '\0';
        agent->lease_at = agent->refusals == 0 ? clock_milliseconds() : agent->lease_at;
        json_array_foreach(json_object_get(answer, "leases"), i, lease) {
            if (!work_take(agent, lease)) {
                log_error("a lease of the daemon cannot be read or kept; it will end by itself");
            }
        }
        for (struct leased_job *work = agent->works, *next; work != NULL; work = next) {
            next = work->next;
            if (agent->stopping && work->phase == WORK_FETCHES && !work->released) {
                work_release(work);
            }
            work_step(work);
        }
    } else {
        agent->lease_at = call_again_at(agent, status);
    }
    json_decref(answer);
    agent->left = agent->left && agent->works == NULL;
    look(agent);
}

static void lease(struct agent *agent, int slots) {
    char path[128];
    if (agent->request[0] == '\0') {
        snprintf(agent->request, sizeof agent->request, "%" PRIu64 "-%d", clock_milliseconds(), (int)++agent->requests);
    }
    snprintf(path, sizeof path, "/v1/workers/%s/leases?wait=%d", agent->id, LEASE_WAIT);
    agent->leasing = true;
    call_post(agent, &agent->lease, path,
              json_pack("{s:s, s:i, s:I}", "request_id", agent->request, "slots", slots, "memory",
                        (json_int_t)memory_free(agent)),
              LEASE_WAIT + CALL_SECONDS, on_leases);
}

/* ---- beats ---- */

static void order_take(struct agent *agent, const json_t *order) {
    const char *job = json_string_value(json_object_get(order, "job"));
    const char *what = json_string_value(json_object_get(order, "order"));
    int number = (int)json_integer_value(json_object_get(order, "attempt"));
    struct leased_job *work = job == NULL || number < 1 ? NULL : work_find(agent, job, number);
    if (work == NULL || what == NULL || work->abandoned) {
        return;
    }
    if (strcmp(what, "abandon") == 0 && work->phase != WORK_ENDING) {
        log_warning("the daemon orders to abandon a job", LOG_T("job", work->id), LOG_I("attempt", work->number));
        work_abandon(work);
        work_step(work);
    } else if (strcmp(what, "pause") == 0 && !work->paused) {
        work_pause(work);
    }
}

static void on_beat(struct client_call *call) {
    struct agent *agent = call->user;
    int status = call->status;
    const json_t *order;
    size_t i;
    json_t *answer = call_answer(call);
    agent->beating = false;
    if (status == 200) {
        agent->failures = 0;
        agent->beat_at = clock_milliseconds() + (uint64_t)(agent->beat_seconds * 1000);
        json_array_foreach(json_object_get(answer, "orders"), i, order) {
            order_take(agent, order);
        }
    } else {
        agent->beat_at = call_again_at(agent, status);
    }
    json_decref(answer);
    look(agent);
}

static json_t *running_document(struct leased_job *work) {
    const struct attempt_view *view = &work->view;
    if (work->attempt != NULL) {
        work->agent->executor->operations->look(work->attempt, &work->view);
    }
    json_t *document = json_pack("{s:s, s:i, s:I, s:I, s:I, s:I, s:f, s:i}", "job", work->id, "attempt", work->number,
                                 "iteration", (json_int_t)view->iteration, "updates", (json_int_t)view->updates,
                                 "evaluated", (json_int_t)view->evaluated, "evaluation", (json_int_t)view->evaluation,
                                 "trained", view->trained, "threads", view->threads > 0 ? view->threads : 1);
    if (isfinite(view->trials_per_second)) {
        json_object_set_new(document, "trials_per_second", json_real(view->trials_per_second));
    }
    return document;
}

/* So short that another beat, on another connection, comes before the lease ends. */
static long beat_silence(const struct agent *agent) {
    long seconds = lround(2 * agent->beat_seconds);
    return seconds < BEAT_SECONDS ? BEAT_SECONDS : seconds < CALL_SECONDS ? seconds : CALL_SECONDS;
}

static void beat(struct agent *agent) {
    char path[128];
    json_t *running = json_array();
    for (struct leased_job *work = agent->works; work != NULL; work = work->next) {
        if (!work->abandoned && work->phase != WORK_GONE) {
            json_array_append_new(running, running_document(work));
        }
    }
    snprintf(path, sizeof path, "/v1/workers/%s/beat", agent->id);
    agent->beating = true;
    agent->left = agent->stopping && agent->works == NULL;
    json_t *document = json_pack("{s:o, s:b}", "running", running, "leaves", agent->left);
    call_post(agent, &agent->beat, path, document, agent->left ? LEAVE_SECONDS : beat_silence(agent), on_beat);
}

/* ---- what is to be done now ---- */

static void stop(struct agent *agent, const char *reason) {
    if (agent->stopping) {
        return;
    }
    log_info("stopping: jobs write their checkpoints and are given back", LOG_T("reason", reason));
    agent->stopping = true;
    agent->stop_due = clock_milliseconds() + STOP_SECONDS * 1000;
    for (struct leased_job *work = agent->works, *next; work != NULL; work = next) {
        next = work->next;
        if (!work->abandoned) {
            work_release(work);
            work_step(work);
        }
    }
}

static void idle_look(struct agent *agent, uint64_t now) {
    if (agent->works != NULL || !agent->announced) {
        agent->idle_since = now;
    } else if (agent->options.idle > 0 && now - agent->idle_since >= (uint64_t)agent->options.idle * 1000) {
        stop(agent, "there has been no work (--idle)");
    }
}

/* Calls what is due. */
static void step(struct agent *agent) {
    uint64_t now = clock_milliseconds();
    int left = agent->options.slots - works_count(agent);
    if (!agent->announced) {
        if (!agent->announcing && !agent->failed && now >= agent->announce_at) {
            announce(agent);
        }
        return;
    }
    if (!agent->beating && now >= agent->beat_at) {
        beat(agent);
    }
    if (!agent->leasing && !agent->stopping && left > 0 && now >= agent->lease_at) {
        lease(agent, left);
    }
}

static void look(struct agent *agent) {
    if (!agent->stopping || agent->works != NULL) {
        step(agent);
    } else if (!agent->announced || (agent->left && !agent->leasing)) {
        loop_stop(&agent->loop);
    } else if (!agent->beating && !agent->left) {
        beat(agent); /* the daemon answers the request for leases, which may bring some after all */
    }
}

static void on_tick(void *user, uint64_t now) {
    struct agent *agent = user;
    log_tick();
    idle_look(agent, now);
    if (agent->end_at != 0 && now + WALLTIME_LEFT * 1000 >= agent->end_at) {
        stop(agent, "the walltime ends");
    }
    works_step(agent, NULL);
    works_share(agent); /* bounds of jobs that started since are known by now */
    look(agent);
    if (agent->stopping && now >= agent->stop_due) {
        log_warning("stopped before everything could be sent: what is missing is computed again");
        agent->failed = true;
        loop_stop(&agent->loop);
    }
}

static void on_signal(void *user, int number) {
    struct agent *agent = user;
    if (number != SIGHUP) {
        stop(agent, number == SIGTERM ? "SIGTERM" : "SIGINT");
        look(agent);
    }
}

/* ---- starting and ending ---- */

static bool start(struct agent *agent) {
    const struct source source = work_source(agent);
    const struct client_options client = {.loop = &agent->loop,
                                          .server = agent->options.server,
                                          .token = agent->options.token,
                                          .ca_file = agent->options.ca_file};
    agent->datasets = datasets_create(agent->options.scratch, NULL);
    agent->executor = agent->datasets == NULL
                          ? NULL
                          : pool_executor_create(&agent->loop, agent->datasets, &source, agent->options.slots, -1, 0);
    agent->client = agent->executor == NULL ? NULL : client_create(&client);
    return agent->client != NULL;
}

/* Attempts that still run are those of jobs that were thrown away, or of a stop that took too long. */
static void finish(struct agent *agent) {
    bool busy = false;
    for (const struct leased_job *work = agent->works; work != NULL; work = work->next) {
        busy = busy || work->attempt != NULL;
    }
    for (struct leased_job *work = agent->works; work != NULL; work = work->next) {
        outbox_destroy(work->outbox);
        work->outbox = NULL;
    }
    scratch_close(agent);
    if (busy) {
        _exit(agent->failed ? 1 : 0);
    }
    client_destroy(agent->client);
    if (agent->executor != NULL) {
        agent->executor->operations->destroy(agent->executor);
    }
    datasets_destroy(agent->datasets);
}

int agent_run(const struct agent_options *options) {
    static struct agent agent;
    char error[512];
    agent.options = *options;
    agent.look = look;
    pthread_mutex_init(&agent.mutex, NULL);
    const struct loop_hooks hooks = {.user = &agent, .tick = on_tick, .signal = on_signal};
    if (!scratch_open(&agent)) {
        fprintf(stderr, "modpropd: --scratch: %s cannot be written: %s\n", options->scratch, strerror(errno));
        return 1;
    }
    if (loop_init(&agent.loop, &hooks) != 0 ||
        !pool_start(&agent.loop.uv, options->slots + POOL_FILE_THREADS, error, sizeof error) || !start(&agent)) {
        fprintf(stderr, "modpropd: the worker cannot start: out of memory or threads\n");
        scratch_close(&agent);
        return 1;
    }
    agent.idle_since = clock_milliseconds();
    agent.end_at = options->walltime > 0 ? agent.idle_since + (uint64_t)options->walltime * 1000 : 0;
    thread_slices_shorten();
    step(&agent);
    loop_run(&agent.loop);
    finish(&agent);
    loop_release(&agent.loop);
    return agent.failed ? 1 : 0;
}
