/*
 * Routes about the daemon itself: probes, version.
 */
#include "server/routes/openapi.h"
#include "server/routes/routes.h"

#include <string.h>
#include <sys/utsname.h>

#include "api/job.h"
#include "core/base/build.h"
#include "core/kernels/select.h"
#include "core/train/train.h"
#include "server/experiments/labels.h"

/* The response at / in a build without the dashboard. */
void route_index(struct server *server, struct request *request) {
    const char *docs = server->pages == NULL ? NULL : PAGES_URL; /* s* leaves it out */
    http_reply_json(request, 200,
                    json_pack("{s:s, s:s, s:{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s*}}", "name", "modpropd",
                              "version", MODPROP_VERSION, "links", "openapi", "/openapi.json", "tasks", "/v1/tasks",
                              "rules", "/v1/rules", "jobs", "/v1/jobs", "experiments", "/v1/experiments", "events",
                              "/v1/events", "ready", "/readyz", "metrics", "/metrics", "docs", docs));
}

void route_livez(struct server *server, struct request *request) {
    (void)server;
    http_reply_constant(request, 200, "text/plain; charset=utf-8", "ok\n", 3);
}

void route_readyz(struct server *server, struct request *request) {
    char reason[STORE_ERROR_BYTES];
    if (server->state == SERVER_READY && store_is_full(server->store, reason)) {
        http_header_set(request, "Retry-After", "10");
        http_problem(
            request, 503,
            "read only: %s. Jobs wait, and nothing is accepted but what frees space: cancel or delete jobs, or "
            "free space on the disk of the data directory",
            reason);
        return;
    }
    if (server->state == SERVER_READY) {
        http_reply_constant(request, 200, "text/plain; charset=utf-8", "ready\n", 6);
        return;
    }
    http_header_set(request, "Retry-After", "1");
    http_problem(request, 503, "%s",
                 server->state == SERVER_RECOVERING ? "the daemon is still starting" : "the daemon is shutting down");
}

void route_version(struct server *server, struct request *request) {
    struct utsname host = {0};
    uname(&host);
    http_reply_json(request, 200,
                    json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:{s:i, s:I}, s:{s:i, s:i, s:I}}", "name", "modpropd",
                              "version", MODPROP_VERSION, "build", build_identity, "compiler", __VERSION__,
                              "instruction_set", kernels_name(), "machine", host.machine, "host", "cores",
                              server->host_cores, "memory_bytes", (json_int_t)server->host_memory, "limits", "cores",
                              server->cores, "workers", server->workers, "memory_bytes", (json_int_t)server->memory));
}

void route_metrics(struct server *server, struct request *request) {
    size_t size;
    char *text = metrics_render(server, &size);
    http_reply_bytes(request, 200, "text/plain; version=0.0.4; charset=utf-8", text, text == NULL ? 0 : size);
}

void route_tasks(struct server *server, struct request *request) {
    (void)server;
    http_reply_json(request, 200, tasks_describe());
}

/* With the colour that stands for each rule in every client. */
void route_rules(struct server *server, struct request *request) {
    json_t *document = rules_describe(), *rule;
    const char *name;
    size_t index;
    (void)server;
    json_array_foreach(json_object_get(document, "rules"), index, rule) {
        name = json_string_value(json_object_get(rule, "type"));
        json_object_set_new(rule, "colour", json_string(rule_colour(name == NULL ? "" : name)));
    }
    http_reply_json(request, 200, document);
}

void route_neurons(struct server *server, struct request *request) {
    (void)server;
    http_reply_json(request, 200, neurons_describe());
}

static json_t *device_describe(int number, const struct train_device_info *info, bool used) {
    const struct train_device_load load = train_device_load(number);
    return json_pack("{s:i, s:s, s:s, s:s, s:s, s:i, s:I, s:b, s:o, s:b, s:i, s:i, s:I}", "number", number, "name",
                     info->name, "platform", info->platform, "driver", info->driver, "kind",
                     info->gpu ? "gpu" : "processor", "compute_units", (int)info->units, "memory_bytes",
                     (json_int_t)info->memory_bytes, "suitable", info->suitable, "reason",
                     info->suitable ? json_null() : json_string(info->why), "used", used, "jobs", load.jobs, "cohorts",
                     load.cohorts, "memory_taken_bytes", (json_int_t)load.memory_bytes);
}

/* A vendor's library is not loaded for this: without --device there are none to list. */
void route_devices(struct server *server, struct request *request) {
    json_t *list = json_array();
    struct train_device_info info = {0};
    char why[256] = "--device is none";
    int count = strcmp(server->config.device, "none") == 0 ? 0 : train_devices(-1, &info, why);
    for (int i = 0; i < count && train_devices(i, &info, why) > 0; i++) {
        json_array_append_new(list, device_describe(i, &info, i == server->device));
    }
    http_reply_json(request, 200,
                    json_pack("{s:o, s:o}", "devices", list, "reason", count > 0 ? json_null() : json_string(why)));
}

void route_openapi(struct server *server, struct request *request) {
    (void)server;
    http_reply_json(request, 200, openapi_document());
}
