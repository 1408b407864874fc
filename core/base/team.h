/*
 * A team: threads that persist between iterations and share one piece of work after another.
 *
 * The caller is member 0 and works too. team_run is a fork and a join: members spin for a few microseconds for the next
 * piece of work, then sleep, so that an idle team costs nothing and a busy one hardly waits. (member, members) may only
 * determine which fixed blocks a member takes: results never depend on it.
 */
#ifndef MODPROP_CORE_TEAM_H
#define MODPROP_CORE_TEAM_H

#include <stdbool.h>

struct team;

/* A team of one (the caller); NULL if out of memory. */
struct team *team_create(void);
/* NULL-safe. Only while no work runs. */
void team_destroy(struct team *team);
/*
 * Changes the number of members to `members`, or as near as threads are available, at least 1. Returns the number. Only
 * while no work runs.
 */
int team_resize(struct team *team, int members);
int team_members(const struct team *team);
/* Calls work(user, member, members) once on every member and returns when all have returned. */
void team_run(struct team *team, void (*work)(void *user, int member, int members), void *user);

/* The share [*from, *to) of `count` items for `member`: contiguous, as equal as possible. */
void team_share(int count, int member, int members, int *from, int *to);

#endif
