/*
 * Asking a server for documents again and again, until something has come to its end: a server that is away, or that
 * answers 429 or 5xx, is asked again later, until patience ends.
 */
#ifndef MODPROP_CLI_POLL_H
#define MODPROP_CLI_POLL_H

#include "clients/cli/commands.h"
#include "clients/cli/progress.h"

struct poll {
    struct cli *cli;           /* its http exists */
    const char *doing;         /* for complaints: "follow the job" */
    struct progress *progress; /* erased before a complaint; NULL: none */
    char *note;                /* why the server did not answer the last time; NULL: it did */
    double lost_at;            /* since when it does not, monotonic; negative: it answers */
};

void poll_init(struct poll *poll, struct cli *cli, const char *doing, struct progress *progress);
void poll_release(struct poll *poll);

/*
 * One GET. STATUS_OK: *document, the caller's, is new. STATUS_UNREACHABLE: *document is as it was, and there may be an
 * answer later. Else the server refused, which was said. `may_vanish`: after a 404 *document is NULL, and that is
 * STATUS_OK.
 */
enum status poll_get(struct poll *poll, const char *path, bool may_vanish, json_t **document);

/* Whether the server has been away for more than `patience` seconds (0: never); `status`: of the last poll_get. */
bool poll_gives_up(struct poll *poll, enum status status, long patience);

#endif
