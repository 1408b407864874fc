/*
 * Untrusted text on its way to a terminal: text from a server, a database or a file may hold escape sequences, which a
 * terminal obeys. See printable.c.
 */
#ifndef MODPROP_API_PRINTABLE_H
#define MODPROP_API_PRINTABLE_H

#include <stdbool.h>
#include <stdint.h>

/* Length in bytes of the UTF-8 character that starts here, 0 if there is none; its code point in *code. */
int utf8_decode(const char *bytes, uint32_t *code);

/*
 * In place: each control character, and each byte that is not UTF-8, becomes '?'. Line breaks and tabs become spaces
 * unless `lines`. The text never grows.
 */
void printable_make(char *text, bool lines);

#endif
