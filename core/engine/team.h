/*
 * A team: threads that stay between iterations and split one piece of work after another.
 *
 * The caller is member 0 and works too. team_run is a fork and a join: members spin for a few microseconds for the next
 * piece of work, then sleep, so that an idle team costs nothing and a busy one hardly waits. What a member computes may
 * depend on its (member, members) only through which fixed blocks it takes: results never do.
 */
#ifndef MODPROP_CORE_TEAM_H
#define MODPROP_CORE_TEAM_H

#include <stdbool.h>

struct team;

/* A team of one (the caller); NULL without memory. */
struct team *team_create(void);
/* NULL-safe. Only when no work runs. */
void team_destroy(struct team *team);
/*
 * Changes the number of members to as near `members` as threads can be had, at least 1. Returns the number. Only when
 * no work runs.
 */
int team_resize(struct team *team, int members);
int team_members(const struct team *team);
/* Calls work(user, member, members) once on every member and returns when all have returned. */
void team_run(struct team *team, void (*work)(void *user, int member, int members), void *user);

/* The share [*from, *to) of `count` items that falls to `member`: contiguous, as equal as can be. */
void team_share(int count, int member, int members, int *from, int *to);

#endif
