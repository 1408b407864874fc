/*
 * Addresses: see address.h.
 */
#include "server/base/address.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

static void map_four(const struct in_addr *four, struct in6_addr *address) {
    memset(address, 0, sizeof *address);
    address->s6_addr[10] = address->s6_addr[11] = 0xff;
    memcpy(&address->s6_addr[12], four, sizeof *four);
}

bool address_parse(const char *literal, struct in6_addr *address) {
    struct in_addr four;
    if (inet_pton(AF_INET, literal, &four) == 1) {
        map_four(&four, address);
        return true;
    }
    return inet_pton(AF_INET6, literal, address) == 1;
}

bool address_of_socket(const struct sockaddr *socket, struct in6_addr *address) {
    if (socket->sa_family == AF_INET) {
        map_four(&((const struct sockaddr_in *)(const void *)socket)->sin_addr, address);
        return true;
    }
    if (socket->sa_family != AF_INET6) {
        return false;
    }
    *address = ((const struct sockaddr_in6 *)(const void *)socket)->sin6_addr;
    return true;
}

bool address_equal(const struct in6_addr *left, const struct in6_addr *right) {
    return memcmp(left, right, sizeof *left) == 0;
}

bool address_is_loopback(const struct in6_addr *address) {
    return IN6_IS_ADDR_V4MAPPED(address) ? address->s6_addr[12] == 127 : IN6_IS_ADDR_LOOPBACK(address);
}

void address_text(const struct in6_addr *address, char text[ADDRESS_BYTES]) {
    if (IN6_IS_ADDR_V4MAPPED(address)) {
        inet_ntop(AF_INET, &address->s6_addr[12], text, ADDRESS_BYTES);
    } else {
        inet_ntop(AF_INET6, address, text, ADDRESS_BYTES);
    }
}

bool host_is_loopback(const char *host) {
    struct in6_addr address;
    return strcasecmp(host, "localhost") == 0 || (address_parse(host, &address) && address_is_loopback(&address));
}
