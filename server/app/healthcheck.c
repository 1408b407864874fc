/*
 * The health check: one GET /livez by hand, with a deadline on every step. With TLS it only connects: the certificate
 * is made out to names, not to the address used here, and a daemon whose loop stands still soon stops accepting as
 * well.
 */
#include "server/app/healthcheck.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "server/app/config.h"

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

static int ask(const struct config *config, const struct sockaddr_storage *address) {
    static const char question[] = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    struct timeval limit = {.tv_sec = 4};
    char answer[64] = "";
    size_t used = 0;
    int descriptor = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        return -1;
    }
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    int result = connect(descriptor, (const struct sockaddr *)address, config->address_size);
    if (result == 0 && config->tls_cert == NULL) {
        result = send(descriptor, question, sizeof question - 1, MSG_NOSIGNAL) == (ssize_t)(sizeof question - 1) ? 0
                                                                                                                 : -1;
        while (result == 0 && used < 12) {
            ssize_t got = recv(descriptor, answer + used, sizeof answer - 1 - used, 0);
            if (got <= 0) {
                result = -1;
            } else {
                used += (size_t)got;
            }
        }
        if (result == 0 && strncmp(answer, "HTTP/1.1 200", 12) != 0) {
            errno = EPROTO;
            result = -1;
        }
    }
    close(descriptor);
    return result;
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
    int result = ask(&config, &config.address);
    if (result != 0) {
        fprintf(stderr, "modpropd: no daemon is alive at %s: %s\n", config.listen, strerror(errno));
    }
    config_release(&config);
    return result == 0 ? 0 : 1;
}
