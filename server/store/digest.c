/* SHA-256 in hexadecimal, and the digest of a job's events: see store.h. Any thread. */
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>

#include "server/store/store.h"

static void digest_text(struct sha256_ctx *context, char hex[STORE_HASH_BYTES]) {
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(context, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
}

void sha256_hex(const void *bytes, size_t size, char hex[STORE_HASH_BYTES]) {
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, size, bytes);
    digest_text(&context, hex);
}

void event_digest_add(char digest[STORE_HASH_BYTES], const char *json) {
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, strlen(digest), (const uint8_t *)digest);
    sha256_update(&context, strlen(json), (const uint8_t *)json);
    digest_text(&context, digest);
}
