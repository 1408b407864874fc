/* Calls of workers: see calls.h. A worker whose connection broke sends the same request again; nothing is lost by it.
 */
#include "server/routes/calls.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/routes/replies.h"

#define HEADER "Modprop-Worker"

/* ---- who waits ---- */

static void on_answer(struct remote_call *remote, enum remote_result result) {
    call_end((struct call *)remote, result); /* its first member */
}

struct call *call_add(struct server *server, struct request *request,
                      void (*reply)(struct call *call, enum remote_result result)) {
    struct call *call = calloc(1, sizeof *call);
    if (call == NULL) {
        http_problem(request, 503, "out of memory");
        return NULL;
    }
    *call = (struct call){.call = {.answer = on_answer},
                          .next = server->calls.first,
                          .server = server,
                          .request = request,
                          .status = 200,
                          .reply = reply};
    server->calls.first = call;
    return call;
}

void call_end(struct call *call, enum remote_result result) {
    struct call **at = &call->server->calls.first;
    while (*at != call) {
        at = &(*at)->next;
    }
    *at = call->next;
    if (result == REMOTE_CLOSING) {
        http_problem(call->request, 503, "the daemon is shutting down");
    } else if (result == REMOTE_STALE) {
        remote_count_stale(call->server->remote);
        http_problem(call->request, 409, "the lease has ended: abandon this attempt");
    } else {
        call->reply(call, result);
    }
    free(call);
}

void calls_job_changed(struct server *server, const char *job) {
    struct store_job row;
    const struct call *waiting = server->calls.first;
    while (waiting != NULL && strcmp(waiting->job, job) != 0) {
        waiting = waiting->next;
    }
    if (waiting == NULL || store_job_read(server->reader, job, &row) != 1) {
        return;
    }
    const enum job_status status = row.status;
    store_job_release(&row);
    for (struct call *call = server->calls.first, *next; call != NULL; call = next) {
        next = call->next;
        if (strcmp(call->job, job) == 0 && status != JOB_RUNNING && status != JOB_PAUSING && status != JOB_CANCELLING) {
            call_end(call, REMOTE_DONE);
        }
    }
}

void calls_tick(struct server *server, uint64_t now) {
    for (struct call *call = server->calls.first, *next; call != NULL; call = next) {
        next = call->next;
        if (http_is_gone(call->request) || (call->job[0] != '\0' && now >= call->deadline)) {
            remote_call_forget(&call->call);
            call_end(call, REMOTE_CLOSING);
        }
    }
}

void calls_close(struct server *server, bool all) {
    for (struct call *call = server->calls.first, *next; call != NULL; call = next) {
        next = call->next;
        if (all || call->call.worker != NULL) {
            remote_call_forget(&call->call);
            call_end(call, REMOTE_CLOSING);
        }
    }
}

/* ---- who calls ---- */

bool call_identity(struct server *server, struct request *request, char id[STORE_ID_BYTES]) {
    const char *header = http_header(request, HEADER);
    const char *blank = header == NULL ? NULL : strchr(header, ' ');
    id[0] = '\0';
    if (header == NULL) {
        return true;
    }
    size_t length = blank == NULL ? 0 : (size_t)(blank - header);
    if (length == STORE_ID_BYTES - 1) {
        memcpy(id, header, length);
        id[length] = '\0';
    }
    if (id[0] == '\0' || !remote_secret_is(server->remote, id, blank + 1)) {
        http_problem(request, 403,
                     HEADER " must be the worker's id, a blank and its secret, as POST /v1/workers gave "
                            "them");
        return false;
    }
    return true;
}

struct worker *call_worker(struct server *server, struct request *request) {
    char id[STORE_ID_BYTES];
    if (!call_identity(server, request, id)) {
        return NULL;
    }
    if (id[0] == '\0') {
        http_problem(request, 403, "this needs the header " HEADER ": the worker's id, a blank and its secret");
        return NULL;
    }
    struct worker *worker = remote_worker(server->remote, id);
    if (worker == NULL) {
        http_problem(request, 404, "this daemon does not know the worker: announce it again (POST /v1/workers)");
    }
    return worker;
}

/* ---- bodies ---- */

const char *body_text(const json_t *body, const char *name, size_t most, const char *fallback,
                      struct problems *problems) {
    const json_t *value = json_object_get(body, name);
    const char *text = json_string_value(value);
    if (value == NULL && fallback != NULL) {
        return fallback;
    }
    if (text == NULL || strlen(text) > most || json_string_length(value) != strlen(text)) {
        problems_add(problems, NULL, name, "must be a text of at most %zu bytes", most);
        return "";
    }
    return text;
}

int64_t body_integer(const json_t *body, const char *name, int64_t low, int64_t high, int64_t fallback,
                     struct problems *problems) {
    const json_t *value = json_object_get(body, name);
    if (value == NULL && fallback >= low) {
        return fallback;
    }
    if (!json_is_integer(value) || json_integer_value(value) < low || json_integer_value(value) > high) {
        problems_add(problems, NULL, name, "must be an integer from %lld to %lld", (long long)low, (long long)high);
        return low;
    }
    return json_integer_value(value);
}

double body_number(const json_t *body, const char *name, double fallback) {
    const json_t *value = json_object_get(body, name);
    return json_is_number(value) ? json_number_value(value) : fallback;
}
