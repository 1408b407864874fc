/*
 * Where results go. See output.h.
 */
#include "clients/cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/cli/memory.h"
#include "clients/cli/report.h"
#include "clients/cli/signals.h"

/* mkstemp makes 0600; the file shall have what the user's umask says, or what the file it replaces has. */
static void mode_set(int descriptor, const struct stat *old) {
    mode_t mask = umask(0);
    umask(mask);
    (void)!fchmod(descriptor, old == NULL ? 0666 & ~mask : old->st_mode & 07777);
}

static enum status open_failed(struct output *output) {
    enum status status = report_error(STATUS_FAILED, "cannot write %s: %s", output->path, strerror(errno));
    free(output->path);
    free(output->temporary);
    *output = (struct output){0};
    return status;
}

/* What is no regular file in its own right is written as it is: a link's target, a device, a pipe. */
static enum status open_in_place(struct output *output, const struct stat *file) {
    struct stat target, standard;
    bool exists = stat(output->path, &target) == 0;
    /* /dev/stdout may be a file to which others append: emptying it would lose what is there */
    if (exists && S_ISLNK(file->st_mode) && fstat(STDOUT_FILENO, &standard) == 0 && target.st_dev == standard.st_dev &&
        target.st_ino == standard.st_ino) {
        output->file = stdout;
    } else if (exists && S_ISDIR(target.st_mode)) {
        errno = EISDIR;
    } else {
        output->file = fopen(output->path, "we");
    }
    return output->file == NULL ? open_failed(output) : STATUS_OK;
}

enum status output_open(struct output *output, const char *path) {
    struct stat old;
    *output = (struct output){0};
    if (path == NULL || strcmp(path, "-") == 0) {
        output->file = stdout;
        return STATUS_OK;
    }
    output->path = memory_copy(path);
    bool exists = lstat(path, &old) == 0;
    if (exists && !S_ISREG(old.st_mode)) {
        return open_in_place(output, &old);
    }
    output->temporary = memory_format("%s.XXXXXX", path);
    int descriptor = mkostemp(output->temporary, O_CLOEXEC);
    if (descriptor < 0) {
        return open_failed(output);
    }
    mode_set(descriptor, exists ? &old : NULL);
    output->file = fdopen(descriptor, "w");
    if (output->file == NULL) {
        close(descriptor);
        unlink(output->temporary);
        return open_failed(output);
    }
    return STATUS_OK;
}

static void complain(struct output *output) {
    if (errno == EPIPE) {
        signals_pipe_closed();
    }
    if (!output->failed) {
        report_error(STATUS_FAILED, "cannot write %s: %s", output->path == NULL ? "to standard output" : output->path,
                     strerror(errno));
    }
    output->failed = true;
}

bool output_write(struct output *output, const void *bytes, size_t size) {
    if (size > 0 && fwrite(bytes, 1, size, output->file) != size) {
        complain(output);
    }
    return !output->failed;
}

enum status output_close(struct output *output, enum status status) {
    if (output->file == NULL) {
        return status;
    }
    if (fflush(output->file) != 0 ||
        (output->temporary != NULL && status == STATUS_OK && !output->failed && fsync(fileno(output->file)) != 0)) {
        complain(output);
    }
    if (output->file != stdout && fclose(output->file) != 0) {
        complain(output);
    }
    if (output->failed && status == STATUS_OK) {
        status = STATUS_FAILED;
    }
    if (output->temporary != NULL && (status != STATUS_OK || rename(output->temporary, output->path) != 0)) {
        if (status == STATUS_OK) {
            status = report_error(STATUS_FAILED, "cannot write %s: %s", output->path, strerror(errno));
        }
        unlink(output->temporary);
    }
    free(output->path);
    free(output->temporary);
    *output = (struct output){0};
    return status;
}
