/*
 * One hash of names, for tables in which names with the same hash merely share a slot.
 */
#ifndef MODPROP_SERVER_HASH_H
#define MODPROP_SERVER_HASH_H

#include <stdint.h>

/* FNV-1a, continued from `seed`; start with HASH_SEED. */
#define HASH_SEED UINT64_C(0xcbf29ce484222325)

static inline uint64_t name_hash(uint64_t seed, const char *name) {
    uint64_t hash = seed;
    for (; *name != '\0'; name++) {
        hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    }
    return hash;
}

#endif
