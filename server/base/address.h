/*
 * Network addresses in one form: sixteen bytes, with an IPv4 address mapped into IPv6 (::ffff:a.b.c.d). A socket that
 * listens on [::] reports its IPv4 clients in that form; here both spellings of one address are equal and are shown as
 * IPv4. Pure functions, any thread.
 */
#ifndef MODPROP_SERVER_ADDRESS_H
#define MODPROP_SERVER_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define ADDRESS_BYTES 64

/* False if `literal` is not an address (a name, for example). IPv6 is written without brackets. */
bool address_parse(const char *literal, struct in6_addr *address);
/* False if the socket's address is of another family. */
bool address_of_socket(const struct sockaddr *socket, struct in6_addr *address);

bool address_equal(const struct in6_addr *left, const struct in6_addr *right);
/* 127.0.0.0/8 and ::1. */
bool address_is_loopback(const struct in6_addr *address);
/* In the usual notation, without brackets. */
void address_text(const struct in6_addr *address, char text[ADDRESS_BYTES]);

/* True if `host` (a literal or a name, without port) means this machine's loopback: localhost and its addresses. */
bool host_is_loopback(const char *host);

#endif
