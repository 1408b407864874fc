/*
 * Memory and growing text.
 *
 * A command lives for one request or one stream, so there is no way on without memory: every function here ends the
 * process with a sentence and STATUS_FAILED when there is none, and callers check nothing. jansson gets the same
 * allocator (memory_begin), so that its constructors cannot fail for lack of memory either. Rejected: passing "out of
 * memory" up through every formatter.
 */
#ifndef MODPROP_CLI_MEMORY_H
#define MODPROP_CLI_MEMORY_H

#include <stdarg.h>
#include <stddef.h>

/* Gives jansson the allocator below; call once, before any other call of jansson. */
void memory_begin(void);

/* `count` items of `size` bytes, zeroed; overflow of the product counts as no memory. free() returns it. */
void *memory_allocate(size_t count, size_t size);
void *memory_resize(void *old, size_t count, size_t size);
char *memory_copy(const char *text);
char *memory_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Bytes that grow. `data` is always 0-ended once anything was added; {0} is the empty text. */
struct text {
    char *data;
    size_t size, room;
};

void text_append(struct text *text, const void *bytes, size_t size);
void text_add(struct text *text, const char *string);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* `string` repeated. */
void text_repeat(struct text *text, const char *string, int times);
void text_clear(struct text *text);
void text_release(struct text *text);

#endif
