/*
 * The health check: one GET /livez, over TLS if the daemon uses it, with one deadline for all steps. It detects a
 * daemon whose loop hangs: the kernel still accepts connections for it, so a connection alone proves nothing. The
 * certificate is not verified: it is issued for names, not for the address used here, and nothing secret is sent.
 */
#include "server/app/healthcheck.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/base/config.h"
#include "server/base/loop.h"

#define LIMIT_MILLISECONDS 4000

static const char question[] = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
static const char wanted[] = "HTTP/1.1 200";

/* A connection that gives up at its deadline. */
struct call {
    int socket;
    uint64_t deadline;
    gnutls_session_t session; /* NULL without TLS */
};

/* A wildcard address is reached through loopback. */
static void make_reachable(struct sockaddr_storage *address) {
    struct sockaddr_in *four = (struct sockaddr_in *)address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
    if (address->ss_family == AF_INET && four->sin_addr.s_addr == htonl(INADDR_ANY)) {
        four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else if (address->ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr)) {
        six->sin6_addr = in6addr_loopback;
    }
}

/* False, with errno, if the deadline passes first. */
static bool call_wait(const struct call *call, short events) {
    struct pollfd wait = {.fd = call->socket, .events = events};
    uint64_t now = clock_milliseconds();
    int ready = now < call->deadline ? poll(&wait, 1, (int)(call->deadline - now)) : 0;
    if (ready == 0) {
        errno = ETIMEDOUT;
    }
    return ready > 0;
}

static bool call_connect(const struct call *call, const struct config *config) {
    int error = 0;
    socklen_t size = sizeof error;
    if (connect(call->socket, (const struct sockaddr *)&config->address, config->address_size) == 0) {
        return true;
    }
    if (errno != EINPROGRESS || !call_wait(call, POLLOUT) ||
        getsockopt(call->socket, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
        return false;
    }
    errno = error;
    return error == 0;
}

/* After an operation that would block: true if it should be retried. */
static bool call_again(const struct call *call, ssize_t result, short events) {
    if (call->session == NULL) {
        return result < 0 && (errno == EAGAIN || errno == EINTR) && call_wait(call, events);
    }
    if (result != GNUTLS_E_AGAIN && result != GNUTLS_E_INTERRUPTED) {
        errno = EPROTO;
        return false;
    }
    return call_wait(call, gnutls_record_get_direction(call->session) == 0 ? POLLIN : POLLOUT);
}

static bool call_handshake(const struct call *call) {
    int result = 0;
    do {
        result = call->session == NULL ? 0 : gnutls_handshake(call->session);
    } while (result < 0 && call_again(call, result, POLLIN));
    return result == 0;
}

static bool call_send(const struct call *call) {
    const size_t size = sizeof question - 1;
    ssize_t sent;
    do {
        sent = call->session == NULL ? send(call->socket, question, size, MSG_NOSIGNAL)
                                     : gnutls_record_send(call->session, question, size);
    } while (sent < 0 && call_again(call, sent, POLLOUT));
    return sent == (ssize_t)size;
}

static bool call_receive(const struct call *call) {
    char answer[64] = "";
    size_t used = 0;
    while (used < sizeof wanted - 1) {
        size_t room = sizeof answer - used;
        ssize_t got = call->session == NULL ? recv(call->socket, answer + used, room, 0)
                                            : gnutls_record_recv(call->session, answer + used, room);
        if (got > 0) {
            used += (size_t)got;
        } else if (got == 0 || !call_again(call, got, POLLIN)) {
            errno = got == 0 ? EPROTO : errno;
            return false;
        }
    }
    errno = EPROTO;
    return memcmp(answer, wanted, sizeof wanted - 1) == 0;
}

static bool session_make(struct call *call, gnutls_certificate_credentials_t credentials) {
    if (gnutls_init(&call->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) != 0) {
        call->session = NULL;
        errno = ENOMEM;
        return false;
    }
    gnutls_transport_set_int(call->session, call->socket);
    errno = EPROTO;
    return gnutls_set_default_priority(call->session) == 0 &&
           gnutls_credentials_set(call->session, GNUTLS_CRD_CERTIFICATE, credentials) == 0;
}

static bool ask(const struct config *config) {
    struct call call = {.deadline = clock_milliseconds() + LIMIT_MILLISECONDS};
    gnutls_certificate_credentials_t credentials = NULL;
    call.socket = socket(config->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool done = call.socket >= 0 && call_connect(&call, config);
    if (done && config->tls_cert != NULL) {
        done = gnutls_certificate_allocate_credentials(&credentials) == 0 && session_make(&call, credentials);
    }
    done = done && call_handshake(&call) && call_send(&call) && call_receive(&call);
    int error = errno;
    if (call.session != NULL) {
        gnutls_deinit(call.session);
    }
    if (credentials != NULL) {
        gnutls_certificate_free_credentials(credentials);
    }
    if (call.socket >= 0) {
        close(call.socket);
    }
    errno = error;
    return done;
}

int healthcheck_command(int count, char **arguments, char **environment) {
    char error[CONFIG_ERROR_BYTES], *all[64] = {(char[]){"--data=."}, (char[]){"--allow-unauthenticated"}};
    struct config config;
    if (count > 60) {
        fprintf(stderr, "modpropd: too many arguments\n");
        return 2;
    }
    for (int i = 0; i < count; i++) {
        all[2 + i] = arguments[i];
    }
    enum config_result read = config_read(&config, count + 2, all, environment, error);
    if (read != CONFIG_OK) {
        fprintf(stderr, "modpropd: %s\n",
                read == CONFIG_BAD ? error : "usage: modpropd healthcheck [--listen ADDRESS:PORT]");
        config_release(&config);
        return 2;
    }
    make_reachable(&config.address);
    bool alive = ask(&config);
    if (!alive) {
        fprintf(stderr, "modpropd: no daemon answers at %s: %s\n", config.listen, strerror(errno));
    }
    config_release(&config);
    return alive ? 0 : 1;
}
