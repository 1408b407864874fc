/*
 * The workers that have been heard from, and their requests for leases. See remote.h and leases.h. Loop thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "server/base/log.h"
#include "server/executor/leases.h"

#define KEPT_LEASES 10 /* a silent worker without leases is forgotten after so many times the lease */
#define TICK_MOST 3.0  /* seconds of a tick that count: beyond it this process slept */

/* ---- secrets ---- */

/* DIR/workers.key: whoever reads the data directory owns its jobs anyway. */
bool key_read(struct remote *remote, char error[STORE_ERROR_BYTES]) {
    char path[4096];
    snprintf(path, sizeof path, "%s/workers.key", remote->options.directory);
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (descriptor < 0 && errno == ENOENT) {
        unsigned char fresh[REMOTE_KEY_BYTES];
        int made = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        bool written = made >= 0 && getrandom(fresh, sizeof fresh, 0) == (ssize_t)sizeof fresh &&
                       write(made, fresh, sizeof fresh) == (ssize_t)sizeof fresh && fsync(made) == 0;
        if (made >= 0 && (close(made) != 0 || !written)) {
            unlink(path);
        }
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    }
    ssize_t size = descriptor < 0 ? -1 : read(descriptor, remote->key, sizeof remote->key);
    if (size != (ssize_t)sizeof remote->key) {
        snprintf(error, STORE_ERROR_BYTES, "%.300s cannot be %s: %s", path, descriptor < 0 ? "made" : "read",
                 size < 0 ? strerror(errno) : "it is too short; remove it, and all workers announce themselves again");
    }
    if (descriptor >= 0) {
        close(descriptor);
    }
    return size == (ssize_t)sizeof remote->key;
}

void remote_secret(const struct remote *remote, const char *id, char secret[REMOTE_SECRET_BYTES]) {
    struct hmac_sha256_ctx context;
    uint8_t digest[SHA256_DIGEST_SIZE];
    hmac_sha256_set_key(&context, sizeof remote->key, remote->key);
    hmac_sha256_update(&context, strlen(id), (const uint8_t *)id);
    hmac_sha256_digest(&context, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        snprintf(secret + 2 * i, 3, "%02x", digest[i]);
    }
}

bool remote_secret_is(const struct remote *remote, const char *id, const char *secret) {
    char right[REMOTE_SECRET_BYTES], given[REMOTE_SECRET_BYTES] = "";
    remote_secret(remote, id, right);
    snprintf(given, sizeof given, "%s", secret);
    return memeql_sec(right, given, REMOTE_SECRET_BYTES - 1) && strlen(secret) == REMOTE_SECRET_BYTES - 1;
}

static void id_make(char id[STORE_ID_BYTES]) {
    unsigned char bytes[16];
    char hex[33];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        const uint64_t now = clock_milliseconds();
        memcpy(bytes, &now, sizeof now);
    }
    bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
    for (size_t i = 0; i < sizeof bytes; i++) {
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    }
    snprintf(id, STORE_ID_BYTES, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

/* ---- the registry ---- */

struct worker *worker_find(const struct remote *remote, const char *id) {
    struct worker *worker = remote->workers;
    while (worker != NULL && strcmp(worker->id, id) != 0) {
        worker = worker->next;
    }
    return worker;
}

struct worker *worker_expect(struct remote *remote, const char *id) {
    struct worker *worker = worker_find(remote, id);
    if (worker == NULL && (worker = calloc(1, sizeof *worker)) != NULL) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        *worker = (struct worker){.next = remote->workers,
                                  .remote = remote,
                                  .seen = remote->clock,
                                  .ends_at = INFINITY,
                                  .since = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000};
        snprintf(worker->id, sizeof worker->id, "%s", id);
        remote->workers = worker;
        remote->counts.workers++;
    }
    return worker;
}

struct worker *remote_register(struct remote *remote, const char *id, const struct worker_facts *facts) {
    char fresh[STORE_ID_BYTES];
    if (id == NULL) {
        id_make(fresh);
    }
    struct worker *worker = worker_expect(remote, id == NULL ? fresh : id);
    if (worker != NULL) {
        worker->facts = *facts;
        worker->known = true;
        worker->seen = remote->clock;
        worker->ends_at = remote->clock + facts->seconds_left;
        log_info("worker", LOG_T("worker", worker->id), LOG_T("pool", facts->pool), LOG_T("external", facts->external),
                 LOG_I("slots", facts->slots), LOG_T("isa", facts->isa));
    }
    return worker;
}

struct worker *remote_worker(struct remote *remote, const char *id) {
    struct worker *worker = worker_find(remote, id);
    if (worker == NULL || !worker->known) {
        return NULL;
    }
    worker->seen = remote->clock;
    return worker;
}

/* It has no leases, and nobody waits for it. */
static bool is_alone(const struct worker *worker) {
    return worker->attempts == NULL && worker->call == NULL && worker->reserved == 0;
}

static void worker_drop(struct worker **at) {
    struct worker *worker = *at;
    *at = worker->next;
    worker->remote->counts.workers--;
    free(worker);
}

struct worker_view worker_look(const struct worker *worker) {
    struct worker_view view = {.id = worker->id,
                               .facts = &worker->facts,
                               .silent = worker->remote->clock - worker->seen,
                               .known = worker->known,
                               .asking = worker->call != NULL,
                               .since = worker->since};
    for (const struct attempt *attempt = worker->attempts; attempt != NULL; attempt = attempt->next) {
        view.running++;
    }
    return view;
}

void remote_workers_each(const struct remote *remote, void (*each)(void *user, const struct worker_view *view),
                         void *user) {
    for (const struct worker *worker = remote->workers; worker != NULL; worker = worker->next) {
        const struct worker_view view = worker_look(worker);
        each(user, &view);
    }
}

struct remote_counts remote_counts(const struct remote *remote) {
    return remote->counts;
}

void remote_count_stale(struct remote *remote) {
    remote->counts.stale++;
}

/* ---- leases ---- */

static void call_answer(struct worker *worker, enum remote_result result) {
    struct remote_call *call = worker->call;
    worker->call = NULL;
    worker->wanted = 0;
    if (call != NULL) {
        call->worker = NULL;
        call->answer(call, result);
    }
}

/* Leases for its request, ready or not. */
static int leases_count(const struct worker *worker) {
    int count = 0;
    for (const struct attempt *attempt = worker->attempts; attempt != NULL; attempt = attempt->next) {
        count += strcmp(attempt->request, worker->request) == 0;
    }
    return count;
}

/* How many of them are ready; -1: one is not yet, and the answer waits for it, whatever its time. */
static int leases_ready(const struct worker *worker) {
    int ready = 0;
    for (const struct attempt *attempt = worker->attempts; attempt != NULL; attempt = attempt->next) {
        bool asked = strcmp(attempt->request, worker->request) == 0;
        if (asked && !attempt->ready) {
            return -1;
        }
        ready += asked;
    }
    return worker->reserved > 0 ? -1 : ready;
}

void lease_look(struct worker *worker) {
    if (worker->call != NULL && leases_ready(worker) > 0) {
        call_answer(worker, REMOTE_DONE);
    }
}

void remote_withdraw(struct worker *worker) {
    if (leases_ready(worker) >= 0) {
        call_answer(worker, REMOTE_DONE);
    } else {
        worker->wanted = worker->reserved;
    }
}

void remote_leave(struct worker *worker) {
    remote_withdraw(worker);
    struct worker **at = &worker->remote->workers;
    while (*at != worker) {
        at = &(*at)->next;
    }
    if (is_alone(worker)) {
        worker_drop(at);
    }
}

void worker_leases(const struct worker *worker, void (*each)(void *user, const struct lease_view *lease), void *user) {
    for (const struct attempt *attempt = worker->attempts; attempt != NULL; attempt = attempt->next) {
        if (attempt->ready && strcmp(attempt->request, worker->request) == 0) {
            const struct lease_view view = {.job = attempt->id,
                                            .dataset_sha256 = attempt->dataset_sha256,
                                            .checkpoint_sha256 = attempt->prepared.checkpoint_sha256,
                                            .attempt = attempt->number,
                                            .document = attempt->prepared.document,
                                            .checkpoint = attempt->prepared.checkpoint,
                                            .memory = attempt->memory,
                                            .mnist_training = attempt->prepared.mnist_training};
            each(user, &view);
        }
    }
}

void remote_lease(struct worker *worker, const struct lease_request *request, struct remote_call *call) {
    bool again = strcmp(worker->request, request->id) == 0;
    call_answer(worker, REMOTE_DONE); /* its connection broke, and the same worker asks anew */
    call->worker = worker;
    call->attempt = NULL;
    worker->call = call;
    /* what is reserved is for the same request, or for an earlier one */
    worker->wanted = again ? request->slots - leases_count(worker) : request->slots + worker->reserved;
    worker->memory = request->memory;
    worker->deadline = worker->remote->clock + request->wait;
    if (again) {
        lease_look(worker);
        return;
    }
    snprintf(worker->request, sizeof worker->request, "%s", request->id);
    for (struct attempt *attempt = worker->attempts; attempt != NULL; attempt = attempt->next) {
        if (attempt->ready) { /* it has arrived */
            free(attempt->prepared.document);
            attempt->prepared.document = NULL;
        }
    }
}

void remote_call_forget(struct remote_call *call) {
    if (call->worker != NULL) {
        call->worker->call = NULL;
        call->worker->wanted = 0;
        call->worker = NULL;
    }
    if (call->attempt != NULL) {
        struct remote_call **at = &call->attempt->calls;
        while (*at != call) {
            at = &(*at)->next;
        }
        *at = call->next;
        call->attempt = NULL;
    }
}

/* ---- time ---- */

/* An attempt whose worker is silent; ending it may change the list. */
static struct attempt *silent_find(const struct worker *worker) {
    const struct remote *remote = worker->remote;
    struct attempt *attempt = worker->attempts;
    while (attempt != NULL && remote->clock - attempt->seen <= remote->options.lease) {
        attempt = attempt->next;
    }
    return attempt;
}

static void silent_end(struct worker *worker) {
    for (struct attempt *attempt; (attempt = silent_find(worker)) != NULL;) {
        struct attempt_end end = {.verdict = ATTEMPT_RETURNED, .lost = true, .iteration = -1};
        snprintf(end.detail, sizeof end.detail, "its worker%s%.60s went silent", *worker->facts.external ? " " : "",
                 worker->facts.external);
        log_warning("a lease has ended: its worker is silent", LOG_T("job", attempt->id), LOG_T("worker", worker->id),
                    LOG_I("attempt", attempt->number));
        worker->remote->finish(attempt, &end, REMOTE_STALE);
    }
}

void workers_tick(struct remote *remote) {
    for (struct worker **at = &remote->workers, *worker; (worker = *at) != NULL;) {
        silent_end(worker);
        if (worker->call != NULL && remote->clock >= worker->deadline && leases_ready(worker) >= 0) {
            call_answer(worker, REMOTE_DONE);
        }
        if (is_alone(worker) && remote->clock - worker->seen > (double)remote->options.lease * KEPT_LEASES) {
            worker_drop(at);
        } else {
            at = &worker->next;
        }
    }
}

void remote_tick(struct remote *remote) {
    uint64_t now = clock_milliseconds();
    double passed = (double)(now - remote->tick_at) * 1e-3;
    remote->tick_at = now;
    remote->clock += passed < TICK_MOST ? passed : TICK_MOST;
    workers_tick(remote);
}

void workers_release(struct remote *remote) {
    for (struct worker *worker = remote->workers, *next; worker != NULL; worker = next) {
        next = worker->next;
        free(worker);
    }
}
