/* Clients that hang up while their request arrives: see hangups.c. Part of the transport; loop thread. */
#ifndef MODPROP_SERVER_HTTP_HANGUPS_H
#define MODPROP_SERVER_HTTP_HANGUPS_H

#include "server/http/internal.h"

/* Joins the loop. The result is libuv's: 0, or a negative error, and then nothing is left behind. */
int hangups_join(struct http *http);
/* Leaves the loop, and runs it once, which closes this handle and those that were closed before. */
void hangups_leave(struct http *http);

/* From the beginning of a connection to its end. Without memory for it the connection has its deadlines alone. */
void hangups_watch(struct connection *connection);
void hangups_forget(struct connection *connection);

/* Has libmicrohttpd read from the connections that were hung up once more; after what had arrived was read. */
void hangups_show(struct http *http);

#endif
