/*
 * Printable text: see printable.h. Pure functions, any thread. A control character here is C0, DEL, C1 (which some
 * terminals obey in UTF-8 too), or a character that changes the direction of text and could make a line read as another
 * one.
 */
#include "api/printable.h"

#include <string.h>

int utf8_decode(const char *text, uint32_t *code) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *bytes = (const unsigned char *)text;
    int length = bytes[0] < 0x80 ? 1 : bytes[0] >> 5 == 6 ? 2 : bytes[0] >> 4 == 14 ? 3 : bytes[0] >> 3 == 30 ? 4 : 0;
    *code = length == 1 ? bytes[0] : bytes[0] & (0x7fu >> length);
    for (int i = 1; i < length; i++) {
        if (bytes[i] >> 6 != 2) {
            return 0;
        }
        *code = *code << 6 | (bytes[i] & 0x3f);
    }
    return length > 1 && (*code < least[length] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000)) ? 0
                                                                                                            : length;
}

static bool is_control(uint32_t code) {
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x202a && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

void printable_make(char *text, bool lines) {
    char *to = text;
    for (const char *from = text; *from != '\0';) {
        uint32_t code;
        int length = utf8_decode(from, &code);
        if (length == 1 && (code == '\n' || code == '\t')) {
            *to++ = lines ? *from : ' ';
        } else if (length == 0 || is_control(code)) {
            *to++ = '?';
        } else {
            memmove(to, from, (size_t)length);
            to += length;
        }
        from += length == 0 ? 1 : length;
    }
    *to = '\0';
}
