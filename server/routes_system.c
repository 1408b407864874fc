/*
 * Routes about the daemon itself: probes, version.
 */
#include "server/routes.h"

#include <sys/utsname.h>


void route_livez(struct server *server, struct request *request) {
    (void)server;
    http_reply_constant(request, 200, "text/plain; charset=utf-8", "ok\n", 3);
}

void route_readyz(struct server *server, struct request *request) {
    if (server->state == SERVER_READY) {
        http_reply_constant(request, 200, "text/plain; charset=utf-8", "ready\n", 6);
        return;
    }
    http_header_set(request, "Retry-After", "1");
    http_problem(request, 503, "%s", server->state == SERVER_RECOVERING ? "the daemon is still starting" : "the daemon is shutting down");
}

void route_version(struct server *server, struct request *request) {
    struct utsname host = {0};
    uname(&host);
    http_reply_json(request, 200,
                    json_pack("{s:s, s:s, s:s, s:s, s:{s:i, s:i, s:I}}", "name", "modpropd", "version", MODPROP_VERSION, "compiler", __VERSION__,
                              "machine", host.machine, "limits", "cores", server->cores, "workers", server->workers,
                              "memory_bytes", (json_int_t)server->memory));
}
