/*
 * SHA-256 as text. See digest.h.
 */
#include "clients/cli/digest.h"

#include <nettle/sha2.h>
#include <stdint.h>
#include <stdio.h>

const char *digest_of(const void *bytes, size_t size, char text[DIGEST_BYTES]) {
    struct sha256_ctx context;
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_init(&context);
    sha256_update(&context, size, bytes == NULL ? "" : bytes);
    sha256_digest(&context, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    }
    return text;
}
