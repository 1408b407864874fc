#include "api/text.h"

#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* "1" would be read back as an integer. */
static int mark_real(char *text, int length) {
    if (text[strcspn(text, ".e")] == '\0') {
        memcpy(text + length, ".0", 3);
        length += 2;
    }
    return length;
}

int number_put(double value, char text[32]) {
    int length = 0;
    if (!isfinite(value)) {
        return snprintf(text, 32, "null");
    }
    for (int digits = 15; digits <= 17; digits++) {
        length = snprintf(text, 32, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    return mark_real(text, length);
}

int float_put(float value, char text[32]) {
    int length = 0;
    if (!isfinite(value)) {
        return snprintf(text, 32, "null");
    }
    for (int digits = 6; digits <= 9; digits++) {
        length = snprintf(text, 32, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value) {
            break;
        }
    }
    return mark_real(text, length);
}

static void put_string(FILE *out, const char *text, size_t length) {
    fputc('"', out);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\') {
            fputc('\\', out);
            fputc(c, out);
        } else if (c == '\n') {
            fputs("\\n", out);
        } else if (c < 0x20 || c == 0x7f) {
            fprintf(out, "\\u%04x", c);
        } else {
            fputc(c, out);
        }
    }
    fputc('"', out);
}

/* Depth is bounded by the parser (64) or by our own documents. */
static void put(FILE *out, const json_t *value) {
    char number[32];
    const char *separator = "", *name;
    json_t *member;
    size_t index;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        fputc('{', out);
        json_object_foreach((json_t *)(uintptr_t)value, name, member) {
            fputs(separator, out);
            put_string(out, name, strlen(name));
            fputc(':', out);
            put(out, member);
            separator = ",";
        }
        fputc('}', out);
        break;
    case JSON_ARRAY:
        fputc('[', out);
        json_array_foreach(value, index, member) {
            fputs(separator, out);
            put(out, member);
            separator = ",";
        }
        fputc(']', out);
        break;
    case JSON_STRING:
        put_string(out, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        number_put(json_real_value(value), number);
        fputs(number, out);
        break;
    default:
        fputs(json_is_true(value) ? "true" : json_is_false(value) ? "false" : "null", out);
    }
}

/*
 * jansson does not survive every failed allocation: its scanner overruns a string that it could not lengthen (2.14). So
 * when malloc refuses, memory comes from a reserve, whose pages cost nothing until then. Callers check
 * json_memory_short and discard what was made from it.
 */
#define RESERVE_BYTES ((size_t)4 << 20)

static struct {
    pthread_mutex_t mutex;
    size_t used, held; /* bytes handed out, and pieces not yet given back: with the last one the whole reserve is
                        * free again */
    _Alignas(16) unsigned char bytes[RESERVE_BYTES];
} reserve = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local uint64_t shortages, shortages_seen; /* seen: by the last text */

static void *reserve_take(size_t size) {
    void *memory = NULL;
    pthread_mutex_lock(&reserve.mutex);
    if (size <= RESERVE_BYTES - reserve.used) {
        memory = reserve.bytes + reserve.used;
        size_t rounded = (size + 15) / 16 * 16;
        reserve.used = rounded > RESERVE_BYTES - reserve.used ? RESERVE_BYTES : reserve.used + rounded;
        reserve.held++;
    }
    pthread_mutex_unlock(&reserve.mutex);
    return memory;
}

static void *watched_malloc(size_t size) {
    void *memory = malloc(size);
    if (memory == NULL) {
        shortages++;
        memory = reserve_take(size);
    }
    return memory;
}

static void watched_free(void *memory) {
    uintptr_t at = (uintptr_t)memory, from = (uintptr_t)reserve.bytes;
    if (at < from || at >= from + RESERVE_BYTES) {
        free(memory);
        return;
    }
    pthread_mutex_lock(&reserve.mutex);
    reserve.used = --reserve.held == 0 ? 0 : reserve.used;
    pthread_mutex_unlock(&reserve.mutex);
}

void json_memory_watch(void) {
    json_set_alloc_funcs(watched_malloc, watched_free);
}

uint64_t json_memory_begin(void) {
    return shortages_seen = shortages;
}

bool json_memory_short(uint64_t begin) {
    return shortages != begin;
}

void *json_memory_seen(void *memory) {
    shortages += memory == NULL;
    return memory;
}

/* The text itself could not be made; the next one is not concerned. */
static char *text_lack(char *text) {
    free(text);
    shortages_seen = ++shortages;
    return NULL;
}

static char *text_make(const json_t *document, const char *ending, size_t *size) {
    char *text = NULL;
    size_t length = 0;
    bool is_whole = document != NULL && shortages == shortages_seen;
    (void)json_memory_begin();
    if (!is_whole) {
        return NULL;
    }
    FILE *out = open_memstream(&text, &length);
    if (out == NULL) {
        return text_lack(NULL);
    }
    put(out, document);
    fputs(ending, out);
    bool cut = ferror(out) != 0; /* fclose reports only its own flush */
    if (fclose(out) != 0 || cut) {
        return text_lack(text);
    }
    if (size != NULL) {
        *size = length;
    }
    return text;
}

char *json_text(const json_t *document, size_t *size) {
    return text_make(document, "", size);
}

char *json_line(const json_t *document, size_t *size) {
    return text_make(document, "\n", size);
}
