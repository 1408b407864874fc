/*
 * Who holds how much of something that is bounded for all together: a token's streams, an address' unread answers.
 * Where the bound is hit, the greatest holder gives way, not whoever comes next.
 *
 * A holder lives while it holds anything. Owned by one thread, the loop's. A call takes time in proportion to the
 * number of holders.
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
    size_t uses; /* calls of holders_take that were not given back */
};

struct holders {
    struct holder *first;
};

/* `name` takes `amount` more. NULL without memory: then nobody is charged. */
struct holder *holders_take(struct holders *holders, const char *name, uint64_t amount);
/* The same amount of one holders_take is given back; NULL-safe. */
void holders_give(struct holders *holders, struct holder *holder, uint64_t amount);

/* What `name` holds now. */
uint64_t holders_amount(const struct holders *holders, const char *name);
/* Who holds most; NULL where nobody holds anything. */
const struct holder *holders_greatest(const struct holders *holders);

#endif
