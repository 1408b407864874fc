/*
 * Checks of a document's members that designs, metrics and changes share. Pure; any thread.
 */
#ifndef MODPROP_SERVER_MEMBERS_H
#define MODPROP_SERVER_MEMBERS_H

#include <jansson.h>

#include "api/problem.h"

/* The largest seed: the largest integer that JSON's readers keep. */
#define SEED_MOST 9007199254740991.0

/* Adds faults for members of `object` that are not in the list. */
void members_check(const json_t *object, const char *const *names, size_t count, const struct path *path,
                   const char *what, struct problems *problems);

/* An integer member from low to high; `fallback` if it is absent, or with a fault. */
int64_t member_integer(const json_t *object, const char *name, double low, double high, int64_t fallback,
                       const struct path *path, struct problems *problems);

#endif
