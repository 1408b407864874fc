/*
 * Pools of workers on a cluster: the keys pool.NAME.KEY of the settings file, what Slurm says about a pool's
 * allocations, and what is to be done about them. The decision is a function of what squeue and the daemon say; nothing
 * is kept between two calls of it but what only explains.
 */
#ifndef MODPROP_CLI_POOLS_H
#define MODPROP_CLI_POOLS_H

#include <jansson.h>

#include "clients/cli/settings.h"

/* One pool's keys. Texts are NULL where they are not given. */
struct pool {
    const char *name;
    char *kind, *sbatch_args, *isa, *scratch, *program, *token_file, *output, *server;
    int64_t max_workers, backlog, slots, cores, memory, walltime, idle, poll;
};

/* Reads and checks the keys of a pool. Complains. */
enum status pool_read(const struct settings *settings, const char *name, struct pool *pool);
void pool_release(struct pool *pool);

/* One allocation as squeue shows it. */
struct allocation {
    char id[40], state[24], reason[80];
    bool pending, live; /* live: it runs, or is starting; an ended one is neither */
};

struct allocations {
    struct allocation *items; /* oldest first */
    size_t count, pending, live;
};

/*
 * Lines ID|STATE|REASON|TIME_LEFT. False if one is not so: nothing is concluded from what cannot be read.
 */
bool allocations_read(const char *text, struct allocations *allocations);
void allocations_release(struct allocations *allocations);

/* How many to submit (positive) or to cancel of those pending (negative), for so many wanted workers. */
int pool_decide(const struct pool *pool, const struct allocations *allocations, int64_t wanted);

/*
 * Ended allocations whose worker never joined: `workers` is the list of GET /v1/workers. A worker that ended by itself,
 * or was stopped, is not in it any more; neither is counted.
 */
size_t pool_strangers(const struct allocations *allocations, const json_t *workers);

/* The script of an allocation; the caller frees it. `server`: the daemon's address. */
char *pool_script(const struct pool *pool, const char *server);
/* sbatch and its words, ended by NULL; free each and the list by pool_words_release. `test`: --test-only. */
char **pool_words(const struct pool *pool, bool test);
void pool_words_release(char **words);

#endif
