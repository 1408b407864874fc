/*
 * Parser of server-sent events, as the HTML standard defines the format: bytes in at any cut, events out.
 *
 * Knows no job. An event's data over EVENT_BYTES_MAX, or a line that long, is a fault: nothing that a server sends may
 * grow without bound.
 */
#ifndef MODPROP_CLI_EVENTS_H
#define MODPROP_CLI_EVENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "clients/cli/memory.h"

#define EVENT_BYTES_MAX ((size_t)64 << 20)

struct event_parser {
    /* Called for each event that has data. `id`: the last one seen, "" if none. False ends the parsing. */
    bool (*take)(void *user, const char *id, const char *type, const char *data, size_t size);
    void *user;
    long retry_milliseconds; /* the last `retry:`, -1 before one came */
    /* private */
    struct text line, type, data, id;
    bool has_data, after_return, after_first_byte;
    unsigned mark; /* bytes of a byte order mark seen at the start */
};

void event_parser_init(struct event_parser *parser,
                       bool (*take)(void *user, const char *id, const char *type, const char *data, size_t size),
                       void *user);
void event_parser_release(struct event_parser *parser);

/* Forgets a half event: a new connection begins. The last id stays. */
void event_parser_restart(struct event_parser *parser);

/* False when `take` returned false or a line is too long. */
bool event_parser_feed(struct event_parser *parser, const char *bytes, size_t size);

#endif
