/* Captions: see caption.h. */
#include "api/caption.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/text.h"

bool caption_has_control(const char *text, bool lines) {
    for (; *text != '\0'; text++) {
        if (((unsigned char)*text < 0x20 && !(lines && (*text == '\n' || *text == '\t' || *text == '\r'))) ||
            *text == 0x7f) {
            return true;
        }
    }
    return false;
}

static char *kept(char *text, const char *name, struct problems *problems) {
    if (text == NULL) {
        problems_add(problems, NULL, name, "not enough memory to read it");
    }
    return text;
}

enum characters { ANY, PLAIN, LINES }; /* PLAIN: no control characters; LINES: of them line breaks and tabs alone */

/* A text of at most `most` bytes. NULL after a fault. */
static char *text_read(const json_t *value, const char *name, size_t most, enum characters characters,
                       struct problems *problems) {
    const char *text = json_is_null(value) ? "" : json_string_value(value);
    char got[80];
    if (text == NULL || strlen(text) > most || (!json_is_null(value) && json_string_length(value) != strlen(text)) ||
        (characters != ANY && caption_has_control(text, characters == LINES))) {
        problems_add(problems, NULL, name, "must be a string of at most %zu bytes%s, or null; got %s", most,
                     characters != ANY ? " without control characters" : "", value_quote(value, got));
        return NULL;
    }
    return kept(json_memory_seen(strdup(text)), name, problems);
}

static bool tag_is_sound(const json_t *tag) {
    const char *text = json_string_value(tag);
    return text != NULL && *text != '\0' && json_string_length(tag) == strlen(text) &&
           strlen(text) <= CAPTION_TAG_MOST && !caption_has_control(text, false);
}

static bool tag_is_known(const json_t *tags, size_t index) {
    const char *text = json_string_value(json_array_get(tags, index));
    for (size_t i = 0; i < index; i++) {
        const char *before = json_string_value(json_array_get(tags, i));
        if (before != NULL && strcasecmp(before, text) == 0) {
            return true;
        }
    }
    return false;
}

static char *tags_read(const json_t *tags, struct problems *problems) {
    const struct path path = {.name = "tags"};
    size_t index, before = problems->count;
    json_t *tag;
    char got[80];
    if (json_is_null(tags)) {
        return kept(json_memory_seen(strdup("[]")), "tags", problems);
    }
    if (!json_is_array(tags) || json_array_size(tags) > CAPTION_TAGS_MOST) {
        problems_add(problems, NULL, "tags", "must be a list of at most %d texts, or null; got %s", CAPTION_TAGS_MOST,
                     value_quote(tags, got));
        return NULL;
    }
    json_array_foreach(tags, index, tag) {
        const struct path at = {.parent = &path, .index = index};
        if (!tag_is_sound(tag)) {
            problems_add(problems, &at, NULL, "must be a text of 1 to %d bytes without control characters; got %s",
                         CAPTION_TAG_MOST, value_quote(tag, got));
        } else if (tag_is_known(tags, index)) {
            problems_add(problems, &at, NULL, "must differ from the other tags in more than upper and lower case");
        }
    }
    return problems->count > before ? NULL : kept(json_text(tags, NULL), "tags", problems);
}

void caption_read(struct caption *caption, const json_t *document, bool stored, struct problems *problems) {
    const json_t *name = json_object_get(document, "name"), *notes = json_object_get(document, "notes"),
                 *tags = json_object_get(document, "tags");
    *caption = (struct caption){0};
    if (name != NULL) {
        caption->name = text_read(name, "name", CAPTION_NAME_MOST, stored ? ANY : PLAIN, problems);
    }
    if (notes != NULL) {
        caption->notes = text_read(notes, "notes", CAPTION_NOTES_MOST, LINES, problems);
    }
    if (tags != NULL) {
        caption->tags = tags_read(tags, problems);
    }
}

void caption_release(struct caption *caption) {
    free(caption->name);
    free(caption->notes);
    free(caption->tags);
    *caption = (struct caption){0};
}

bool caption_put(json_t *document, const char *name, const char *notes, const char *tags) {
    json_t *list = json_loads(tags == NULL ? "[]" : tags, 0, NULL);
    bool put = json_object_set_new(document, "name", name == NULL || *name == '\0' ? json_null() : json_string(name)) ==
               0;
    put = (json_object_set_new(document, "notes", json_string(notes == NULL ? "" : notes)) == 0) && put;
    return (json_object_set_new(document, "tags", list) == 0) && put;
}

void caption_schema_put(json_t *properties) {
    json_object_set_new(properties, "name",
                        json_pack("{s:[s,s], s:i}", "type", "string", "null", "maxLength", CAPTION_NAME_MOST));
    json_object_set_new(properties, "notes",
                        json_pack("{s:[s,s], s:i}", "type", "string", "null", "maxLength", CAPTION_NOTES_MOST));
    json_object_set_new(properties, "tags",
                        json_pack("{s:[s,s], s:i, s:b, s:{s:s, s:i, s:i}}", "type", "array", "null", "maxItems",
                                  CAPTION_TAGS_MOST, "uniqueItems", 1, "items", "type", "string", "minLength", 1,
                                  "maxLength", CAPTION_TAG_MOST));
}
