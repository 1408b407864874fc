/*
 * Shares of a resource that is limited in total: a token's streams, an address' unread responses. When the limit is
 * reached, the greatest holder gives way, not the next client.
 *
 * A holder exists while it holds anything. Owned by one thread, the loop. A call takes time in proportion to the number
 * of holders.
 */
#ifndef MODPROP_SERVER_HOLDERS_H
#define MODPROP_SERVER_HOLDERS_H

#include <stddef.h>
#include <stdint.h>

#define HOLDER_NAME_BYTES 72

struct holder {
    struct holder *next;
    char name[HOLDER_NAME_BYTES];
    uint64_t amount;
    size_t uses; /* calls of holders_take not yet given back */
};

struct holders {
    struct holder *first;
};

/* `name` takes `amount` more. NULL if out of memory: then no holder is charged. */
struct holder *holders_take(struct holders *holders, const char *name, uint64_t amount);
/* Gives back the same amount as one holders_take; NULL-safe. */
void holders_give(struct holders *holders, struct holder *holder, uint64_t amount);

/* What `name` holds now. */
uint64_t holders_amount(const struct holders *holders, const char *name);
/* The greatest holder; NULL if there are none. */
const struct holder *holders_greatest(const struct holders *holders);

#endif
