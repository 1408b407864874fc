/*
 * The identity of a job: a hash of the canonical list of name=value pairs of the parameters that can change its result.
 *
 * Only values that differ from the frozen `identity` of their row enter (api/field.h). So adding a parameter or
 * changing a default later does not change the identity of a stored job, and the order of the rows has no meaning. Two
 * jobs whose courses (REACH_COURSE) have the same identity may exchange checkpoints; two whose results (REACH_RESULT)
 * have the same identity end with the same weights and report the same numbers.
 */
#ifndef MODPROP_API_IDENTITY_H
#define MODPROP_API_IDENTITY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/field.h"

#define IDENTITY_BYTES 32

/*
 * Adds a pair "section.name" (section NULL: "name") to `pairs`, an object of strings, for each field of the table that
 * applies, reaches at least as far as `reach`, and does not have its identity value. False if out of memory.
 */
bool identity_add(json_t *pairs, const char *section, const struct fields *fields, unsigned variant,
                  enum field_reach reach, const void *object);

/* One pair whose value is a text. False if out of memory. */
bool identity_add_text(json_t *pairs, const char *name, const char *value);

/* SHA-256 of the pairs, sorted by name, as lines "name=value\n". False if out of memory. */
bool identity_hash(const json_t *pairs, uint8_t identity[IDENTITY_BYTES]);

#endif
