/*
 * What all programs share: see program.h.
 *
 * A closed descriptor is replaced by /dev/null opened in the wrong direction (standard input for writing, the others
 * for reading): a program that has nowhere to write must still get an error instead of writing into nothing.
 */
#include "api/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void hold_standard_descriptors(void) {
    for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; descriptor++) {
        if (fcntl(descriptor, F_GETFD) >= 0) {
            continue;
        }
        /* the lowest free number is this one: those below it are in use */
        int opened = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
        if (opened < 0) {
            opened = open("/", O_PATH | O_DIRECTORY); /* no /dev here; an O_PATH descriptor can be neither read nor
                                                       * written */
        }
        (void)opened;
    }
}

void program_begin(void) {
    hold_standard_descriptors();
    signal(SIGXFSZ, SIG_IGN); /* beyond the file size limit (ulimit -f) a write now fails with an error */
}

char *program_read_file(const char *path, size_t limit, size_t *size) {
    FILE *file = fopen(path, "re");
    char *text = file == NULL ? NULL : malloc(limit + 2);
    *size = text == NULL ? 0 : fread(text, 1, limit + 1, file);
    int error = text == NULL || ferror(file) ? (errno != 0 ? errno : EIO) : *size > limit ? EFBIG : 0;
    if (file != NULL) {
        fclose(file);
    }
    if (text == NULL || error != 0) {
        free(text);
        errno = error;
        return NULL;
    }
    text[*size] = '\0';
    return text;
}
