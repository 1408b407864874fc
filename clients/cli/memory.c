/*
 * Memory and growing text. See memory.h.
 */
#include "clients/cli/memory.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/status.h"

static void *checked(void *memory) {
    if (memory == NULL) {
        fputs("modprop: out of memory\n", stderr);
        _Exit(STATUS_FAILED);
    }
    return memory;
}

static void *json_allocate(size_t size) {
    return checked(malloc(size > 0 ? size : 1));
}

void memory_begin(void) {
    json_set_alloc_funcs(json_allocate, free);
}

void *memory_allocate(size_t count, size_t size) {
    return checked(calloc(count > 0 ? count : 1, size > 0 ? size : 1));
}

void *memory_resize(void *old, size_t count, size_t size) {
    size_t bytes;
    return checked(__builtin_mul_overflow(count, size, &bytes) ? NULL : realloc(old, bytes > 0 ? bytes : 1));
}

char *memory_copy(const char *text) {
    return checked(strdup(text));
}

char *memory_format(const char *format, ...) {
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    return checked(length < 0 ? NULL : text);
}

static void text_reserve(struct text *text, size_t more) {
    size_t needed;
    if (__builtin_add_overflow(text->size, more, &needed) || needed > SIZE_MAX / 2) {
        checked(NULL);
    }
    if (needed < text->room) {
        return;
    }
    text->room = needed < 64 ? 128 : needed * 2;
    text->data = memory_resize(text->data, text->room, 1);
}

void text_append(struct text *text, const void *bytes, size_t size) {
    text_reserve(text, size);
    if (size > 0) {
        memcpy(text->data + text->size, bytes, size);
    }
    text->size += size;
    text->data[text->size] = '\0';
}

void text_add(struct text *text, const char *string) {
    text_append(text, string, strlen(string));
}

void text_printf(struct text *text, const char *format, ...) {
    char small[256];
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(small, sizeof small, format, arguments);
    if (length >= 0 && (size_t)length < sizeof small) {
        text_append(text, small, (size_t)length);
    } else if (length >= 0) {
        text_reserve(text, (size_t)length + 1);
        vsnprintf(text->data + text->size, (size_t)length + 1, format, again);
        text->size += (size_t)length;
    }
    va_end(again);
    va_end(arguments);
}

void text_repeat(struct text *text, const char *string, int times) {
    for (int i = 0; i < times; i++) {
        text_add(text, string);
    }
}

void text_clear(struct text *text) {
    text->size = 0;
    if (text->data != NULL) {
        text->data[0] = '\0';
    }
}

void text_release(struct text *text) {
    free(text->data);
    *text = (struct text){0};
}
