/*
 * Holders: see holders.h. A list, as long as there are tokens and addresses that hold something now; it is scanned
 * where something far more expensive is taken.
 */
#include "server/base/holders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct holder *find(const struct holders *holders, const char *name) {
    struct holder *holder = holders->first;
    while (holder != NULL && strncmp(holder->name, name, HOLDER_NAME_BYTES - 1) != 0) {
        holder = holder->next;
    }
    return holder;
}

struct holder *holders_take(struct holders *holders, const char *name, uint64_t amount) {
    struct holder *holder = find(holders, name);
    if (holder == NULL) {
        holder = calloc(1, sizeof *holder);
        if (holder == NULL) {
            return NULL;
        }
        snprintf(holder->name, sizeof holder->name, "%s", name);
        holder->next = holders->first;
        holders->first = holder;
    }
    holder->amount += amount;
    holder->uses++;
    return holder;
}

void holders_give(struct holders *holders, struct holder *holder, uint64_t amount) {
    if (holder == NULL) {
        return;
    }
    holder->amount -= amount;
    holder->uses--;
    if (holder->uses > 0) {
        return;
    }
    struct holder **link = &holders->first;
    while (*link != holder) {
        link = &(*link)->next;
    }
    *link = holder->next;
    free(holder);
}

uint64_t holders_amount(const struct holders *holders, const char *name) {
    const struct holder *holder = find(holders, name);
    return holder == NULL ? 0 : holder->amount;
}

const struct holder *holders_greatest(const struct holders *holders) {
    const struct holder *greatest = holders->first;
    for (const struct holder *holder = greatest; holder != NULL; holder = holder->next) {
        greatest = holder->amount > greatest->amount ? holder : greatest;
    }
    return greatest;
}
