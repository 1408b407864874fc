/*
 * Identities: see identity.h. Values are written as in documents (api/text.h), except that whole numbers have no
 * decimal point: so a row may change from integer to number and keep its identity.
 */
#include "api/identity.h"

#include <math.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/text.h"

#define NAME_BYTES 96
#define EXACT_INTEGERS 9007199254740992.0 /* 2^53 */

bool identity_add_text(json_t *pairs, const char *name, const char *value) {
    return json_object_set_new(pairs, name, json_string(value)) == 0;
}

/* Takes ownership of the value. NULL if out of memory. */
static char *canonical_text(json_t *value) {
    double number = json_number_value(value);
    if (json_is_real(value) && number == floor(number) && fabs(number) < EXACT_INTEGERS) {
        json_decref(value);
        value = json_integer((json_int_t)number);
    }
    char *text = json_text(value, NULL);
    json_decref(value);
    return text;
}

static bool add_field(json_t *pairs, const char *section, const struct field *field, const void *object) {
    char name[NAME_BYTES];
    char *value = canonical_text(field_encode(field, object)),
         *frozen = canonical_text(json_loads(field->identity, JSON_DECODE_ANY, NULL));
    bool ok = value != NULL && frozen != NULL;
    snprintf(name, sizeof name, "%s%s%s", section == NULL ? "" : section, section == NULL ? "" : ".", field->name);
    if (ok && strcmp(value, frozen) != 0) {
        ok = identity_add_text(pairs, name, value);
    }
    free(value);
    free(frozen);
    return ok;
}

bool identity_add(json_t *pairs, const char *section, const struct fields *fields, unsigned variant,
                  enum field_reach reach, const void *object) {
    bool ok = pairs != NULL;
    for (size_t i = 0; ok && i < fields->count; i++) {
        const struct field *field = &fields->items[i];
        if (field_applies(field, variant) && field->reach <= reach) {
            ok = add_field(pairs, section, field, object);
        }
    }
    return ok;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool identity_hash(const json_t *pairs, uint8_t identity[IDENTITY_BYTES]) {
    size_t count = 0;
    const char *name, **names = json_memory_seen(calloc(json_object_size(pairs) + 1, sizeof *names));
    json_t *value;
    struct sha256_ctx context;
    if (names == NULL) {
        return false;
    }
    json_object_foreach((json_t *)(uintptr_t)pairs, name, value) {
        names[count++] = name;
    }
    qsort(names, count, sizeof *names, compare_names);
    sha256_init(&context);
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_object_get(pairs, names[i]));
        sha256_update(&context, strlen(names[i]), (const uint8_t *)names[i]);
        sha256_update(&context, 1, (const uint8_t *)"=");
        sha256_update(&context, strlen(text), (const uint8_t *)text);
        sha256_update(&context, 1, (const uint8_t *)"\n");
    }
    sha256_digest(&context, IDENTITY_BYTES, identity);
    free(names);
    return true;
}
