/*
 * Parser of server-sent events. See events.h.
 */
#include "clients/cli/events.h"

#include <stdlib.h>
#include <string.h>

void event_parser_init(struct event_parser *parser,
                       bool (*take)(void *user, const char *id, const char *type, const char *data, size_t size),
                       void *user) {
    *parser = (struct event_parser){.take = take, .user = user, .retry_milliseconds = -1};
    text_add(&parser->id, "");
}

void event_parser_release(struct event_parser *parser) {
    text_release(&parser->line);
    text_release(&parser->type);
    text_release(&parser->data);
    text_release(&parser->id);
}

static void event_clear(struct event_parser *parser) {
    text_clear(&parser->type);
    text_clear(&parser->data);
    parser->has_data = false;
}

void event_parser_restart(struct event_parser *parser) {
    event_clear(parser);
    text_clear(&parser->line);
    parser->after_return = parser->after_first_byte = false;
    parser->mark = 0;
}

/* An empty line: the event is whole. The line break behind its last line of data is not part of it. */
static bool dispatch(struct event_parser *parser) {
    bool go_on = true;
    if (parser->has_data) {
        parser->data.data[--parser->data.size] = '\0';
        go_on = parser->take(parser->user, parser->id.data, parser->type.size == 0 ? "message" : parser->type.data,
                             parser->data.data, parser->data.size);
    }
    event_clear(parser);
    return go_on;
}

static bool is_field(const char *line, size_t length, const char *name) {
    return strlen(name) == length && memcmp(line, name, length) == 0;
}

static bool line_take(struct event_parser *parser) {
    const char *line = parser->line.size == 0 ? "" : parser->line.data;
    size_t size = parser->line.size;
    if (size == 0) {
        return dispatch(parser);
    }
    const char *colon = memchr(line, ':', size);
    size_t length = colon == NULL ? size : (size_t)(colon - line);
    const char *value = colon == NULL ? line + size : colon + 1;
    value += colon != NULL && value < line + size && *value == ' ';
    size_t value_size = (size_t)(line + size - value);
    if (is_field(line, length, "data")) {
        if (parser->data.size + value_size >= EVENT_BYTES_MAX) {
            return false;
        }
        text_append(&parser->data, value, value_size);
        text_append(&parser->data, "\n", 1);
        parser->has_data = true;
    } else if (is_field(line, length, "event")) {
        text_clear(&parser->type);
        text_append(&parser->type, value, value_size);
    } else if (is_field(line, length, "id") && memchr(value, '\0', value_size) == NULL) {
        text_clear(&parser->id);
        text_append(&parser->id, value, value_size);
    } else if (is_field(line, length, "retry") && value_size > 0 && value_size < 10 &&
               strspn(value, "0123456789") == value_size) {
        parser->retry_milliseconds = strtol(value, NULL, 10);
    }
    text_clear(&parser->line);
    return true;
}

/* True while the byte belongs to a byte order mark at the very start. */
static bool mark_skip(struct event_parser *parser, char byte) {
    static const char mark[] = "\xef\xbb\xbf";
    if (!parser->after_first_byte && parser->mark < 3 && byte == mark[parser->mark]) {
        parser->mark++;
        parser->after_first_byte = parser->mark == 3;
        return true;
    }
    if (!parser->after_first_byte) {
        text_append(&parser->line, mark, parser->mark);
        parser->after_first_byte = true;
    }
    return false;
}

bool event_parser_feed(struct event_parser *parser, const char *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        char byte = bytes[i];
        if (mark_skip(parser, byte)) {
            continue;
        }
        bool second_half = parser->after_return && byte == '\n';
        parser->after_return = byte == '\r';
        if (second_half) {
            continue;
        }
        if (byte != '\r' && byte != '\n') {
            size_t run = 1; /* up to the line's end at once */
            while (i + run < size && bytes[i + run] != '\r' && bytes[i + run] != '\n') {
                run++;
            }
            if (parser->line.size + run > EVENT_BYTES_MAX) {
                return false;
            }
            text_append(&parser->line, bytes + i, run);
            i += run - 1;
        } else if (!line_take(parser)) {
            text_clear(&parser->line);
            return false;
        } else {
            text_clear(&parser->line);
        }
    }
    return true;
}
