/*
 * SHA-256 as text.
 */
#ifndef MODPROP_CLI_DIGEST_H
#define MODPROP_CLI_DIGEST_H

#include <stddef.h>

#define DIGEST_BYTES 65

/* The sha256 of `size` bytes, 64 hexadecimal digits. Returns `text`. */
const char *digest_of(const void *bytes, size_t size, char text[DIGEST_BYTES]);

#endif
