/*
 * Text from elsewhere on its way to a terminal: what a server, a database or a file says may hold escape sequences,
 * which a terminal obeys. See printable.c.
 */
#ifndef MODPROP_API_PRINTABLE_H
#define MODPROP_API_PRINTABLE_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes of the UTF-8 character that begins here, 0 where none does; its code point in *code. */
int utf8_decode(const char *bytes, uint32_t *code);

/*
 * In place: each control character becomes '?', and so does each byte that is no UTF-8. Line breaks and tabs become
 * spaces unless `lines`. The text never grows.
 */
void printable_make(char *text, bool lines);

#endif
