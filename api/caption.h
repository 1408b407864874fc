/*
 * Captions: the name, notes and tags that people give to jobs. They reach no result, enter no identity, and may be
 * changed at any time. Pure; any thread.
 */
#ifndef MODPROP_API_CAPTION_H
#define MODPROP_API_CAPTION_H

#include <jansson.h>

#include "api/problem.h"

#define CAPTION_NAME_MOST 200   /* bytes */
#define CAPTION_NOTES_MOST 4096 /* bytes: lists show them */
#define CAPTION_TAGS_MOST 32
#define CAPTION_TAG_MOST 63 /* bytes */

struct caption { /* texts are owned (caption_release); NULL: not given */
    char *name, *notes;
    char *tags; /* a JSON array */
};

/*
 * Reads the members name, notes and tags of an object, where it has them; null stands for none. Faults go to
 * `problems`, lack of memory among them. `stored`: a document that was accepted before names had no control characters
 * stays readable.
 */
void caption_read(struct caption *caption, const json_t *document, bool stored, struct problems *problems);
void caption_release(struct caption *caption);
/* Whether a text has a control character, which tables and terminals obey; `lines` allows line breaks and tabs. */
bool caption_has_control(const char *text, bool lines);

/* {"name": null or a text, "notes": text, "tags": list} into `document`; NULL stands for none. False if out of memory.
 */
bool caption_put(json_t *document, const char *name, const char *notes, const char *tags);
/* JSON Schema's properties of the three, into `properties`. */
void caption_schema_put(json_t *properties);

#endif
