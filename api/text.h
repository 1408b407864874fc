/*
 * JSON documents as text, with numbers in the fewest digits that restore them exactly: 0.8, not 0.80000000000000004
 * (jansson's own writer has one precision for all numbers). Compact, members in their order, UTF-8.
 */
#ifndef MODPROP_API_TEXT_H
#define MODPROP_API_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A new text, 0-terminated, its length in *size (may be NULL); the caller frees it. NULL if out of memory, or for
 * NULL. */
char *json_text(const json_t *document, size_t *size);

/* The same with a line break at its end: the body of an answer, which a terminal shows and a file keeps as a line. */
char *json_line(const json_t *document, size_t *size);

/*
 * When memory is short, jansson drops a member and reports nothing. After json_memory_watch each refusal is counted,
 * and json_text returns no text if there was one on its thread since the last text, or since json_memory_begin: the
 * document may lack something. Memory that jansson itself hands out (json_dumps) must then not be passed to free().
 */
void json_memory_watch(void);
/* A piece of work begins on this thread: what was refused before is not its concern. */
uint64_t json_memory_begin(void);
/* Whether memory was refused on this thread since that call; asking changes nothing. errno cannot say it: jansson sets
 * it to 0 with every number that it reads. */
bool json_memory_short(uint64_t begin);
/* Another allocation of the same work: counts it if it was refused (NULL), and returns it. */
void *json_memory_seen(void *memory);

/*
 * The shortest decimal that reads back as this double, with a point or exponent; 32 bytes suffice. Returns its length.
 */
int number_put(double value, char text[32]);

/* The same for float32. */
int float_put(float value, char text[32]);

#endif
