/*
 * Hang-ups: see hangups.h.
 *
 * libmicrohttpd waits edge-triggered and does not ask for EPOLLRDHUP. It takes a read that fills less than its buffer
 * as the last one, and waits for the next edge. If the end of the stream arrived together with those bytes, there is no
 * next edge: a client that sent half a request and closed the connection was held until its deadline. So the
 * transport watches every connection for the end of its stream itself. Once what had arrived is read, it shuts its own
 * receiving side, which is over anyway: Linux then reports a new edge, and libmicrohttpd reads the end. Bytes that are
 * still in the socket are not lost by that.
 *
 * A client may close its sending side alone, after complete requests: whatever has been handled is still answered.
 */
#include "server/http/hangups.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_A_ROUND 64

static void on_hangup(uv_poll_t *poll, int status, int events) {
    struct http *http = poll->data;
    struct epoll_event found[EVENTS_A_ROUND];
    int count = status < 0 ? 0 : epoll_wait(http->hangups, found, EVENTS_A_ROUND, 0);
    (void)events;
    for (int i = 0; i < count; i++) {
        struct connection *connection = found[i].data.ptr;
        connection->hung_up = true;
        http->hung_up = true;
    }
}

int hangups_join(struct http *http) {
    http->hangups = epoll_create1(EPOLL_CLOEXEC);
    if (http->hangups < 0) {
        return -errno;
    }
    int result = uv_poll_init(&http->loop->uv, &http->hangup_poll, http->hangups);
    if (result != 0) {
        close(http->hangups);
        http->hangups = -1;
        return result;
    }
    http->hangup_poll.data = http;
    result = uv_poll_start(&http->hangup_poll, UV_READABLE, on_hangup);
    if (result != 0) {
        hangups_leave(http);
    }
    return result;
}

void hangups_leave(struct http *http) {
    uv_poll_stop(&http->hangup_poll);
    uv_close((uv_handle_t *)&http->hangup_poll, NULL);
    uv_run(&http->loop->uv, UV_RUN_NOWAIT);
    close(http->hangups);
    http->hangups = -1;
}

void hangups_watch(struct connection *connection) {
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = connection};
    (void)epoll_ctl(connection->http->hangups, EPOLL_CTL_ADD, connection->socket, &event);
}

void hangups_forget(struct connection *connection) {
    (void)epoll_ctl(connection->http->hangups, EPOLL_CTL_DEL, connection->socket, NULL);
}

void hangups_show(struct http *http) {
    http->hung_up = false;
    for (struct connection *c = http->connections; c != NULL; c = c->next) {
        bool arrives = c->request == NULL || (!c->request->handled && !c->request->queued);
        if (c->hung_up && arrives && !c->cut) {
            shutdown(c->socket, SHUT_RD);
            http->kicked = true;
        }
    }
}
